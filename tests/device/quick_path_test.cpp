// What keeps a card busy, on the stand-in for one (stand_in.cpp), and what of it can be seen on a real one.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "case_name.h"
#include "device.h"
#include "errors.h"
#include "pipeline/components.h"
#include "pipeline/run/clip_writer.h"
#include "pipeline/run/finite_check.h"
#include "pipeline/run/sampling.h"
#include "schedulers/scheduler_classes.h"
#include "stand_in.h"

namespace t2v {
namespace {

// A real one, where the tests run there.
const at::Device card = test::device().is_cpu() ? test::stand_in : test::device();

class Steps : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(OfModels, Steps,
                         testing::Values("world-128", "wan22-a14b", "wan22-ti2v", "cogvideox-2b",
                                         "cogvideox-1.5"),
                         test::name_of);

// Noise is the run's own, which PackSampler brings there.
TEST_P(Steps, WaitForNothing) {
  const at::NoGradGuard no_grad;
  const std::string name = GetParam();
  const auto configs = read_model_configs(
      open_model_folder(name == kDefaultModel ? test::shipped_model(name) : test::golden(name)));
  const auto& model = *configs.model;
  const auto network = load_denoiser(model, {test::stand_in, at::kBFloat16});
  const auto spec = model.vae();
  const auto latents = test::random_normal(
      spec.latent_shape(1 + spec.frame_step(), 4 * size_multiple(model), 4 * size_multiple(model)), 1);
  const auto text = [&](int64_t seed) {
    const auto length = model.defaults().max_text_tokens.value_or(16);
    const auto states = test::random_normal({length, model.text_width()}, seed);
    return TextStates{{states.to(test::stand_in, at::kBFloat16)}, length};
  };
  for (const auto& scheduler_name : scheduler_names()) {
    const std::vector<Guidance> guidance = {{.scale = 5, .rescale = 0.5, .scale_2 = 5}};
    const auto tokens = pack({{latents.to(test::stand_in), {}}}, network->patch_size(), 2);
    const auto passes = prepare_passes(*network, tokens, {text(2), text(3)}, guidance);
    std::unique_ptr<Scheduler> scheduler;
    try {
      scheduler = make_scheduler(scheduler_name, configs.scheduler, {.steps = 4});
    } catch (const Error&) {  // not one for what the model predicts
      continue;
    }
    SamplingHooks hooks;
    hooks.noise = [&](int64_t) { return at::ones_like(tokens.values.chunk(2)[0]); };
    int64_t steps = 0;
    hooks.after_step = [&](int64_t, double, const at::Tensor&) {
      const auto waits = test::waits_of_stand_in();
      EXPECT_TRUE(steps++ == 0 || waits.empty())
          << scheduler_name << ": " << waits.size() << " times, " << waits.front();
    };
    Observer observer;
    sample(*network, passes, *scheduler, tokens, guidance, hooks, observer);
    EXPECT_EQ(steps, 4);
  }
}

TEST(FiniteCheck, NamesTheStepThatWentWrongWhenTheNextOneIsAsked) {
  const auto fine = at::ones({4}), wrong = at::full({4}, std::numeric_limits<float>::quiet_NaN());
  const auto text = [](const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::non_finite);
      return std::string(error.what());
    }
    return std::string();
  };
  FiniteCheck check(5);
  check.add(fine.to(card), fine.to(card), 0, 900);
  check.add(wrong.to(card), fine.to(card), 1, 800);
  const auto found = text([&] { check.add(wrong.to(card), wrong.to(card), 2, 700); });
  EXPECT_NE(found.find("the network's prediction holds NaN or infinity at step 2 of 5 (timestep 800)"),
            std::string::npos)
      << found;
  FiniteCheck last(1);
  last.add(fine.to(card), wrong.to(card), 0, 900);
  EXPECT_NE(text([&] { last.finish(); }).find("the sample holds NaN or infinity at step 1 of 1"),
            std::string::npos);
  FiniteCheck on_cpu(2);
  EXPECT_NE(text([&] { on_cpu.add(fine, wrong, 0, 900); }).find("step 1 of 2"), std::string::npos);
}

TEST(Decoding, RunsOnAStreamOfItsOwnBesideWhatIsDenoised) {
  const auto configs = read_model_configs(open_model_folder(test::shipped_model()));
  const auto vae = load_vae(*configs.model, {card, parse_vae_dtype("auto", card, at::kBFloat16)});
  const auto latents = test::random_normal(vae->spec().latent_shape(9, 64, 64), 1).to(card);
  GenerationPlan plan;
  plan.clips.resize(1);
  plan.windows = {{.frames = 9, .kept = 9}};
  ClipTask task;
  task.plan = &plan;
  task.clip = &plan.clips.front();
  int64_t frames = 0;
  std::optional<ClipOutcome> outcome;
  const std::function<void(const ClipOutcome&)> finished = [&](const ClipOutcome& of_clip) {
    outcome = of_clip;
  };
  Observer observer;
  Reporter reporter(observer, finished, 1);
  MemoryGate memory;
  WriterOptions options;
  options.checkpoint_path = [](const PlannedClip&) { return std::filesystem::path("t2v-no-checkpoint"); };
  options.frames = [&](std::size_t, std::size_t, const FrameBlock& block) { frames += block.frames; };
  test::streams_of_stand_in();
  {
    ClipWriter writer(*vae, options, memory, reporter);
    writer.hand_over(task, latents);
    writer.finish();
  }
  reporter.rethrow_reason();
  ASSERT_TRUE(outcome && outcome->result)
      << (outcome && outcome->error ? outcome->error->what() : "no outcome");
  EXPECT_EQ(frames, 9);
  if (card != test::stand_in) return;
  const auto streams = test::streams_of_stand_in();
  ASSERT_EQ(streams.size(), 1U);
  EXPECT_GT(streams[0], 0);
}

}  // namespace
}  // namespace t2v
