// The loop on a toy: a vector that is drawn towards noisy targets.
#include "train/loop/trainer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "errors.h"
#include "faulty_files.h"
#include "golden.h"
#include "paths.h"
#include "train/run/config.h"

namespace t2v {
namespace {

class Toy : public TrainingTask {
 public:
  explicit Toy(int64_t bad_from = std::numeric_limits<int64_t>::max(), int64_t bad_times = 0)
      : bad_from_(bad_from), bad_times_(bad_times) {}
  void begin_step(int64_t step, double, Workers&) override {
    step_ = step >= left_out ? step + 1 : step;
    bad_ = step >= bad_from_ && bad_times_ > 0;
    if (bad_) --bad_times_;
  }
  int64_t left_out = std::numeric_limits<int64_t>::max();  // a batch that is passed over
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
  ParameterSet go(TrainingTask& task, Observer& observer, const TrainerHooks& hooks = {}) {
    return train(task, parameters, config, Processes(), hooks, observer);
  }
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

TEST(Trainer, ARunThatIsStoppedWhileItIsEvaluatedLosesNothing) {
  Observer quiet;
  ToyRun whole, stopped;
  Toy task;
  whole.go(task, quiet);
  stopped.config.checkpoint_minutes = 60;
  stopped.config.evaluate_minutes = 0;
  int evaluations = 0;
  TrainerHooks hooks;
  hooks.evaluated = [&](const Metrics&, const ParameterSet&, int64_t step) {
    EXPECT_EQ(step, ++evaluations);
    if (step == 4) throw Error(ErrorKind::terminated, "stopped by SIGTERM");
  };
  test::expect_error(ErrorKind::terminated, {}, [&] { stopped.go(task, quiet, hooks); });
  stopped.config.resume = true;
  hooks.evaluated = [&](const Metrics&, const ParameterSet&, int64_t step) { EXPECT_GT(step, 4); };
  stopped.go(task, quiet, hooks);
  EXPECT_TRUE(at::equal(whole.weights(), stopped.weights()));
}

// Stops while what has to be there before the first step is being made.
TEST(Trainer, CanBeStoppedWhileItPrepares) {
  struct Slow : Toy {
    Preparation prepare(int64_t, Workers&) override { return {++done, 100}; }
    int64_t done = 0;
  };
  ToyRun run;
  Slow task;
  StopsAfter five(5);
  test::expect_error(ErrorKind::terminated, {}, [&] { run.go(task, five); });
  EXPECT_EQ(task.done, 6);
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
  ToyRun without, resumed;  // the batch that failed
  Toy good;
  good.left_out = 6;
  without.go(good, quiet);
  EXPECT_TRUE(at::equal(once.weights(), without.weights()));
  Toy bad_and_stopped(6, 1);
  StopsAfter stop(9);
  EXPECT_THROW(resumed.go(bad_and_stopped, stop), Error);
  resumed.config.resume = true;
  Toy no_more;
  resumed.go(no_more, quiet);
  EXPECT_TRUE(at::equal(resumed.weights(), without.weights()));
  test::expect_error(ErrorKind::non_finite, {"second time"}, [&] { twice.go(two_bad, quiet); });
}

TEST(Trainer, ARestartDoesNotAllowASecondReturn) {
  Observer quiet;
  ToyRun run;
  Toy bad(6, 1), bad_at_once(0, 1);
  StopsAfter goes_back(7);  // and stops before the next step
  test::expect_error(ErrorKind::terminated, {}, [&] { run.go(bad, goes_back); });
  run.config.resume = true;
  test::expect_error(ErrorKind::non_finite, {"second time"}, [&] { run.go(bad_at_once, quiet); });
}

TEST(Trainer, ACheckpointThatCannotBeReadIsNamed) {
  Observer quiet;
  ToyRun run;
  Toy task;
  run.config.resume = true;
  const auto link = run.folder / "toy-newest.safetensors";
  std::filesystem::create_symlink(link.filename(), link);  // leads to itself
  test::expect_error(ErrorKind::bad_input, {link.string()}, [&] { run.go(task, quiet); });
}

TEST(Trainer, ACheckpointOfOtherSettingsIsRefused) {
  Observer quiet;
  ToyRun run;
  Toy task;
  run.go(task, quiet);
  run.config.resume = true;
  run.config.fingerprint = "b";
  test::expect_error(ErrorKind::usage, {"toy-newest.safetensors", "other settings"},
                     [&] { run.go(task, quiet); });
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
    test::expect_error(ErrorKind::output, {"toy-newest.safetensors", "No space left"},
                       [&] { run.go(task, quiet); });
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
  int configs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::source_dir() / "configs" / "train")) {
    EXPECT_EQ(parse_training_config(read_json(entry.path()), entry.path().string()).stages.empty(),
              entry.path().filename() == "mean.json");
    ++configs;
  }
  EXPECT_GE(configs, 4);
}

TEST(TrainingConfig, MistakesAreNamed) {
  const auto refused = [](const char* text, const std::string& complaint) {
    test::expect_error(ErrorKind::usage, {"c.json", complaint},
                       [&] { parse_training_config(parse_json(text, "c.json"), "c.json"); });
  };
  refused(R"({"stages": [{"train": "denoiser"}]})", "'steps' or 'minutes'");
  refused(R"({"stages": [{"train": "denoiser", "steps": 3, "token_per_lane": 3}]})",
          "did you mean 'tokens_per_lane'");
  refused(R"({"stages": [{"train": "unet", "steps": 3}]})", "vae, vae_decoder, denoiser");
  refused(R"({"stages": [{"train": "denoiser", "steps": 3, "caption_dropout": 2}]})", "between 0 and 1");
  refused(R"({"stages": [{"train": "denoiser", "steps": 3, "precision": "fp8"}]})",
          "float32, bf16-mixed, bf16");
  refused(R"({"stages": [{"train": "vae", "steps": 3, "precision": "bf16"}]})", "float32, bf16-mixed;");
  refused(R"({"tokenizer": {"vocab_size": 2}, "stages": [{"train": "denoiser", "steps": 3}]})",
          "'vocab_size' should be between 4");
  refused(R"({"seed": 3})", "'stages' should be a list");
  refused(R"({"stages": [{"train": "denoiser", "steps": 0}]})", "'steps' should be between 1");
  refused(R"({"stages": [{"train": "denoiser", "minutes": -5}]})", "'minutes' should be between");
  refused(R"({"stages": [{"train": "denoiser", "steps": 3, "lengths": [{"frames": 33, "share": 1}]}]})",
          "'cached_frames' should be as many");
  refused(R"({"stages": [{"train": "denoiser", "steps": 3, "lengths": [{"frames": 9, "share": 0}]}]})",
          "should be above 0");
}

}  // namespace
}  // namespace t2v
