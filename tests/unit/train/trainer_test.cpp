// The loop on a toy: a vector that is drawn towards noisy targets.
#include "train/trainer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "errors.h"
#include "faulty_files.h"
#include "golden.h"
#include "paths.h"
#include "train/config.h"

namespace t2v {
namespace {

class Toy : public TrainingTask {
 public:
  explicit Toy(int64_t bad_from = std::numeric_limits<int64_t>::max(), int64_t bad_times = 0)
      : bad_from_(bad_from), bad_times_(bad_times) {}
  void begin_step(int64_t step, double, Workers&) override {
    step_ = step;
    bad_ = step >= bad_from_ && bad_times_ > 0;
    if (bad_) --bad_times_;
  }
  int64_t lanes() const override { return 3; }
  LaneLoss lane_loss(int64_t lane, const ParameterSet& replica) override {
    WorldRandom random(7, static_cast<uint64_t>(step_ * 3 + lane));
    const auto target = at::full({5}, static_cast<float>(random.uniform()));
    auto loss = (replica.list()[0].value - target).square().mean();
    if (bad_) loss = loss * std::numeric_limits<float>::quiet_NaN();
    return {loss / 3, {{"loss", loss.detach()}, {"weight", at::scalar_tensor(1)}}};
  }
  Metrics evaluate(const ParameterSet&) override { return {{"psnr", 1}}; }

 private:
  int64_t bad_from_, bad_times_, step_ = 0;
  bool bad_ = false;
};

// Throws like a signal after so many questions.
struct StopsAfter : Observer {
  explicit StopsAfter(int count) : left(count) {}
  void check_cancelled() override {
    if (left-- <= 0) throw Error(ErrorKind::terminated, "stopped by SIGTERM");
  }
  int left;
};

struct ToyRun {
  test::TemporaryFolder folder;
  ParameterSet parameters = ParameterSet::initialise({{"w.weight", {5}}}, 1);
  TrainerConfig config;
  ToyRun() {
    config.stage = "toy";
    config.folder = folder.path();
    config.schedule.steps = 12;
    config.schedule.warmup_steps = 3;
    config.fingerprint = "a";
    config.checkpoint_minutes = 0;
  }
  ParameterSet go(TrainingTask& task, Observer& observer) { return train(task, parameters, config, Processes(), {}, observer); }
  at::Tensor weights() const { return parameters.list()[0].value.detach().clone(); }
};

TEST(Trainer, AResumedRunHasTheBitsOfOneThatWasNotStopped) {
  Observer quiet;
  ToyRun whole, halves;
  Toy task;
  whole.go(task, quiet);
  StopsAfter five(5);
  test::expect_error(ErrorKind::terminated, {}, [&] { halves.go(task, five); });
  halves.parameters = ParameterSet::initialise({{"w.weight", {5}}}, 2);  // the checkpoint brings them back
  halves.config.resume = true;
  halves.go(task, quiet);
  EXPECT_TRUE(at::equal(whole.weights(), halves.weights()));
}

TEST(Trainer, TheNumberOfWorkersDoesNotMatter) {
  Observer quiet;
  ToyRun one, three;
  three.config.workers = 3;
  Toy task;
  one.go(task, quiet);
  three.go(task, quiet);
  EXPECT_TRUE(at::equal(one.weights(), three.weights()));
}

TEST(Trainer, NaNGoesBackOnceAndThenEndsTheRun) {
  Observer quiet;
  ToyRun once, twice;
  Toy one_bad(6, 1), two_bad(6, 2);
  once.go(one_bad, quiet);
  ToyRun whole;
  Toy good;
  whole.go(good, quiet);
  EXPECT_TRUE(at::equal(once.weights(), whole.weights()));
  test::expect_error(ErrorKind::non_finite, {"second time"}, [&] { twice.go(two_bad, quiet); });
}

TEST(Trainer, ACheckpointOfOtherSettingsIsRefused) {
  Observer quiet;
  ToyRun run;
  Toy task;
  run.go(task, quiet);
  run.config.resume = true;
  run.config.fingerprint = "b";
  test::expect_error(ErrorKind::usage, {"toy-newest.safetensors", "other settings"}, [&] { run.go(task, quiet); });
}

TEST(Trainer, AFolderThatGoesAwayEndsTheRunAndLeavesTheLastCheckpoint) {
  // Takes the run's folder away at its fourth question.
  struct Remover : Observer {
    explicit Remover(std::filesystem::path path) : folder(std::move(path)) {}
    void check_cancelled() override {
      if (++asked == 4) std::filesystem::rename(folder, folder.string() + "-moved");
    }
    std::filesystem::path folder;
    int asked = 0;
  };
  Observer quiet;
  Toy task;
  ToyRun whole, run;
  whole.go(task, quiet);
  run.config.folder = run.folder / "run";
  std::filesystem::create_directory(run.config.folder);
  Remover remover(run.config.folder);
  test::expect_error(ErrorKind::output, {run.config.folder.string()}, [&] { run.go(task, remover); });
  run.config.folder = run.config.folder.string() + "-moved";
  run.config.resume = true;
  run.go(task, quiet);
  EXPECT_TRUE(at::equal(run.weights(), whole.weights()));
}

TEST(Trainer, ACheckpointThatCannotBeWrittenLeavesTheOneBefore) {
  Observer quiet;
  Toy task;
  ToyRun whole, run;
  whole.go(task, quiet);
  {
    const test::FaultyFiles full({test::FileCall::fsync, 3, ENOSPC});
    test::expect_error(ErrorKind::output, {"toy-newest.safetensors", "No space left"}, [&] { run.go(task, quiet); });
  }
  run.config.resume = true;
  run.go(task, quiet);
  EXPECT_TRUE(at::equal(run.weights(), whole.weights()));
}

TEST(Trainer, LearningRateWarmsUpHoldsAndFalls) {
  ScheduleConfig schedule;
  schedule.warmup_steps = 10;
  schedule.decay_share = 0.5;
  schedule.final_factor = 0.1;
  EXPECT_DOUBLE_EQ(learning_rate_factor(schedule, 0, 0), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_factor(schedule, 9, 0.1), 1);
  EXPECT_DOUBLE_EQ(learning_rate_factor(schedule, 100, 0.5), 1);
  EXPECT_NEAR(learning_rate_factor(schedule, 100, 0.75), 0.55, 1e-12);
  EXPECT_NEAR(learning_rate_factor(schedule, 100, 1), 0.1, 1e-12);
  schedule.cosine = true;
  EXPECT_NEAR(learning_rate_factor(schedule, 100, 0.75), 0.55, 1e-12);
}

TEST(TrainingConfig, TheShippedOnesAreGood) {
  for (const char* name : {"world-64.json", "world-64-more.json", "finetune.json"}) {
    const auto path = test::source_dir() / "configs" / "train" / name;
    EXPECT_FALSE(parse_training_config(read_json(path), path.string()).stages.empty());
  }
}

TEST(TrainingConfig, MistakesAreNamed) {
  const auto refused = [](const char* text, const std::string& complaint) {
    test::expect_error(ErrorKind::usage, {"c.json", complaint}, [&] { parse_training_config(parse_json(text, "c.json"), "c.json"); });
  };
  refused(R"({"stages": [{"train": "denoiser"}]})", "'steps' or 'minutes'");
  refused(R"({"stages": [{"train": "denoiser", "steps": 3, "token_per_lane": 3}]})", "did you mean 'tokens_per_lane'");
  refused(R"({"stages": [{"train": "unet", "steps": 3}]})", "vae, vae_decoder, denoiser");
  refused(R"({"stages": [{"train": "denoiser", "steps": 3, "caption_dropout": 2}]})", "between 0 and 1");
  refused(R"({"stages": [{"train": "denoiser", "steps": 3, "precision": "fp8"}]})", "float32, bf16-mixed, bf16");
  refused(R"({"stages": [{"train": "vae", "steps": 3, "precision": "bf16"}]})", "float32, bf16-mixed;");
  refused(R"({"tokenizer": {"vocab_size": 2}, "stages": [{"train": "denoiser", "steps": 3}]})", "'vocab_size' should be between 4");
  refused(R"({"stages": []})", "at least one stage");
}

}  // namespace
}  // namespace t2v
