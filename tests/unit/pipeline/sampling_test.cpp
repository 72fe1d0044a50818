#include "pipeline/run/sampling.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "device.h"
#include "errors.h"
#include "golden.h"
#include "models/wan/wan_transformer.h"
#include "texts.h"
#include "weights.h"

namespace t2v {
namespace {

constexpr PatchSize patch{1, 2, 2};
PackedTokens zero_clip() { return pack({{test::here(at::zeros({4, 1, 4, 6})), {}}}, patch); }

// Predicts a constant for each branch and keeps what it was shown.
class ConstantDenoiser : public Denoiser {
 public:
  PatchSize patch_size() const override { return patch; }
  int64_t in_channels() const override { return 4; }
  std::shared_ptr<const Conditioning> prepare(const PackedTokens&,
                                              const std::vector<TextStates>&) const override {
    return std::make_shared<Conditioning>();
  }
  at::Tensor predict(const PackedTokens& tokens, const Conditioning&, at::Tensor*) const override {
    shown.push_back(tokens);
    auto prediction = at::full_like(tokens.values, conditional);
    if (tokens.segment_count() == 2) prediction.slice(0, tokens.segments[1]).fill_(unconditional);
    return prediction;
  }

  double conditional = 1, unconditional = 0;
  mutable std::vector<PackedTokens> shown;
};

// Adds the prediction to the sample; wants noise at its last step.
class AddingScheduler : public Scheduler {
 public:
  AddingScheduler() : Scheduler(std::vector<double>{900, 500, 100}) {}
  int64_t noises_needed(int64_t step) const override { return step == 2 ? 1 : 0; }
  NoiseLevel level(int64_t step) const override { return {1, 3 - static_cast<float>(step)}; }

 protected:
  at::Tensor advance(const at::Tensor& prediction, int64_t, const at::Tensor& sample,
                     const std::vector<at::Tensor>& noises) override {
    return noises.empty() ? sample + prediction : sample + prediction + noises[0];
  }
};

// With whatever the denoiser makes of no texts.
at::Tensor sample_with(const Denoiser& denoiser, Scheduler& scheduler, const PackedTokens& tokens,
                       const std::vector<Guidance>& guidance, const SamplingHooks& hooks,
                       Observer& observer) {
  return sample(denoiser, prepare_passes(denoiser, tokens, {}, guidance), scheduler, tokens, guidance, hooks,
                observer);
}

SamplingHooks hooks_with_zero_noise() {
  SamplingHooks hooks;
  hooks.noise = [](int64_t) { return test::here(at::zeros({6, 16})); };
  return hooks;
}

TEST(Sample, GuidesAwayFromTheUnconditionalPrediction) {
  const auto latents = test::random_here({4, 1, 4, 6}, 1);
  ConstantDenoiser denoiser;
  denoiser.conditional = 3;
  denoiser.unconditional = 1;
  AddingScheduler scheduler;
  Observer observer;
  const auto result = sample_with(denoiser, scheduler, pack({{latents, {}}}, patch, 2), {{5.0}},
                                  hooks_with_zero_noise(), observer);
  EXPECT_LE(test::relative_error(result, patchify(latents, patch) + 3 * (1 + 5.0 * (3 - 1))), 1e-6);
  ASSERT_EQ(denoiser.shown.size(), 3U);
  for (const auto& tokens : denoiser.shown)
    EXPECT_TRUE(at::equal(tokens.values.slice(0, 0, 6), tokens.values.slice(0, 6)));  // both branches see one
                                                                                      // state
}

// Predicts what it was given for the first branch, and 0 for the other one.
class GivenDenoiser : public ConstantDenoiser {
 public:
  explicit GivenDenoiser(at::Tensor given) : given_(std::move(given)) {}
  at::Tensor predict(const PackedTokens&, const Conditioning&, at::Tensor*) const override {
    return at::cat({given_, at::zeros_like(given_)});
  }

 private:
  at::Tensor given_;
};

TEST(Sample, RescalesGuidanceToTheSpreadOfTheConditionalPrediction) {
  const auto conditional = test::random_here({6, 16}, 2);
  const auto latents = test::here(at::zeros({4, 1, 4, 6}));
  // Guided by 5 it has five times the spread; a share of 0.7 of the way back leaves 0.7·1 + 0.3·5.
  for (const auto& [rescale, factor] : {std::pair(0.0, 5.0), std::pair(0.7, 2.2), std::pair(1.0, 1.0)}) {
    AddingScheduler scheduler;
    Observer observer;
    const auto result = sample_with(GivenDenoiser(conditional), scheduler, pack({{latents, {}}}, patch, 2),
                                    {{5.0, rescale}}, hooks_with_zero_noise(), observer);
    EXPECT_LE(test::relative_error(result, 3 * factor * conditional), 1e-5) << rescale;
  }
}

// Predicts a variance beside it: 7 for the first branch, 9 for the other one.
class DenoiserWithVariance : public ConstantDenoiser {
 public:
  at::Tensor predict(const PackedTokens& tokens, const Conditioning& conditioning,
                     at::Tensor* middle) const override {
    auto variance = at::full_like(tokens.values, 7);
    variance.slice(0, tokens.segments[1]).fill_(9);
    return at::cat({ConstantDenoiser::predict(tokens, conditioning, middle), variance}, 1);
  }
};

class SchedulerOfVariances : public AddingScheduler {
 protected:
  bool reads_variance() const override { return true; }
  at::Tensor advance(const at::Tensor& prediction, int64_t, const at::Tensor& sample,
                     const std::vector<at::Tensor>&) override {
    seen = prediction;
    return sample;
  }

 public:
  at::Tensor seen;
};

TEST(Sample, GuidanceLeavesTheVarianceBesideThePrediction) {
  DenoiserWithVariance denoiser;
  denoiser.conditional = 3;
  denoiser.unconditional = 1;
  SchedulerOfVariances scheduler;
  Observer observer;
  const auto tokens = pack({{test::random_here({4, 1, 4, 6}, 1), {}}}, patch, 2);
  sample_with(denoiser, scheduler, tokens, {{5.0}}, hooks_with_zero_noise(), observer);
  EXPECT_TRUE(scheduler.seen.slice(1, 0, 16).eq(1 + 5 * (3 - 1)).all().item<bool>());
  EXPECT_TRUE(scheduler.seen.slice(1, 16).eq(7).all().item<bool>());
  EXPECT_EQ(scheduler.seen.sizes(), (std::vector<int64_t>{6, 32}));
}

// Source of the numbers: the formula of pipeline_cogvideox.py in Python.
TEST(Guidance, ChangesWithTheTimestepAlongACosine) {
  const Guidance constant{.scale = 6}, dynamic{.scale = 6, .cosine_steps = 50};
  EXPECT_EQ(constant.scale_at(999), 6);
  EXPECT_NEAR(dynamic.scale_at(999), 2.291487174551452, 1e-9);
  EXPECT_NEAR(dynamic.scale_at(19), 1.123397939968981, 1e-9);
  EXPECT_EQ(dynamic.scale_at(50), 1);
}

TEST(Sample, RunsOneBranchWithoutGuidance) {
  const auto latents = test::random_here({4, 1, 4, 6}, 1);
  const ConstantDenoiser denoiser;
  AddingScheduler scheduler;
  Observer observer;
  const auto result = sample_with(denoiser, scheduler, pack({{latents, {}}}, patch), {{1.0}},
                                  hooks_with_zero_noise(), observer);
  EXPECT_LE(test::relative_error(result, patchify(latents, patch) + 3), 1e-6);
}

TEST(Sample, TellsEachStepAndAsksForNoiseOnlyWhenTheSchedulerNeedsIt) {
  struct Progresses : Observer {
    void progress(const Progress& p) override {
      seen.push_back(p.stage + " " + std::to_string(p.done) + "/" + std::to_string(p.total));
    }
    std::vector<std::string> seen;
  } observer;
  const ConstantDenoiser denoiser;
  AddingScheduler scheduler;
  std::vector<int64_t> noise_at;
  std::vector<double> timesteps;
  std::vector<at::Tensor> values;
  SamplingHooks hooks;
  hooks.noise = [&](int64_t step) {
    noise_at.push_back(step);
    return test::here(at::ones({6, 16}));
  };
  hooks.after_step = [&](int64_t, double timestep, const at::Tensor& x) {
    timesteps.push_back(timestep);
    values.push_back(x);
  };
  const auto result = sample_with(denoiser, scheduler, zero_clip(), {{1.0}}, hooks, observer);
  EXPECT_EQ(noise_at, (std::vector<int64_t>{2}));
  EXPECT_EQ(timesteps, (std::vector<double>{900, 500, 100}));
  EXPECT_EQ(observer.seen, (std::vector<std::string>{"denoise 1/3", "denoise 2/3", "denoise 3/3"}));
  EXPECT_TRUE(values.at(1).eq(2).all().item<bool>());
  EXPECT_TRUE(at::equal(values.at(2), result));
  EXPECT_TRUE(result.eq(4).all().item<bool>());
}

TEST(Sample, LeavesKnownTokensAsTheyAreAndTellsTheNetworkTheyAreClean) {
  const auto latents = test::random_here({4, 3, 4, 6}, 1);
  const auto known_frames = at::tensor(std::vector<int64_t>{1, 0, 0}).to(at::kBool);
  const ConstantDenoiser denoiser;
  AddingScheduler scheduler;
  Observer observer;
  SamplingHooks hooks;
  hooks.noise = [](int64_t) { return test::here(at::zeros({18, 16})); };
  const auto result = unpatchify(
      sample_with(denoiser, scheduler, pack({{latents, known_frames}}, patch, 2), {{2.0}}, hooks, observer),
      {3, 2, 3}, patch);
  EXPECT_TRUE(at::equal(result.narrow(1, 0, 1), latents.narrow(1, 0, 1)));
  EXPECT_LE(test::relative_error(result.narrow(1, 1, 2), latents.narrow(1, 1, 2) + 6), 1e-6);
  for (std::size_t step = 0; step < 3; ++step) {
    const auto expected = test::here(at::cat({at::zeros({6}), at::full({12}, scheduler.timesteps()[step])}));
    EXPECT_TRUE(at::equal(test::timestep_of_tokens(denoiser.shown[step]), at::cat({expected, expected})));
  }
}

// One cell in each token of the first frame, at the level of each step in turn, and as it is in the end.
TEST(Sample, PutsKnownCellsBackAtTheLevelOfTheirToken) {
  auto cells = at::zeros({2, 4, 6}, at::kBool);
  cells[0].slice(0, 0, 4, 2).slice(1, 0, 6, 2).fill_(true);
  const auto clean = test::random_here({4, 2, 4, 6}, 1), noise = test::random_here({4, 2, 4, 6}, 2);
  for (const bool levels_per_token : {true, false}) {
    const auto tokens = pack({{test::here(at::zeros({4, 2, 4, 6})), cells}}, patch, 1, levels_per_token);
    const ConstantDenoiser denoiser;
    AddingScheduler scheduler;
    Observer observer;
    SamplingHooks hooks;
    hooks.noise = [](int64_t) { return test::here(at::zeros({12, 16})); };
    const KnownContent known{patchify(clean, patch), patchify(noise, patch)};
    const auto values = sample(denoiser, prepare_passes(denoiser, tokens, {}, {{1.0}}), scheduler, tokens,
                               {{1.0}}, hooks, observer, 0, known);
    const auto mask = cells.unsqueeze(0);
    const auto kept = [&](const at::Tensor& latents) { return latents.cpu().masked_select(mask); };
    EXPECT_TRUE(at::equal(kept(unpatchify(values, {2, 2, 3}, patch)), kept(clean)));
    EXPECT_TRUE(unpatchify(values, {2, 2, 3}, patch)
                    .cpu()
                    .masked_select(mask.logical_not())
                    .eq(3)
                    .all()
                    .item<bool>());
    for (std::size_t step = 0; step < 3; ++step)
      EXPECT_TRUE(at::equal(kept(unpatchify(denoiser.shown[step].values, {2, 2, 3}, patch)),
                            kept(clean + noise * (3 - static_cast<double>(step)))));
  }
}

// RePaint, for a network that has one level for all tokens.
TEST(Sample, WithOneLevelForAllTokensKnownTokensHaveItToo) {
  const auto clean = test::random_here({4, 2, 4, 6}, 1), noise = test::random_here({4, 2, 4, 6}, 2);
  const auto tokens = pack({{test::here(at::zeros({4, 2, 4, 6})), at::tensor({1, 0}).to(at::kBool)}}, patch,
                           1, false);
  const ConstantDenoiser denoiser;
  AddingScheduler scheduler;
  Observer observer;
  SamplingHooks hooks;
  hooks.noise = [](int64_t) { return test::here(at::zeros({12, 16})); };
  const KnownContent known{patchify(clean, patch), patchify(noise, patch)};
  const auto values = sample(denoiser, prepare_passes(denoiser, tokens, {}, {{1.0}}), scheduler, tokens,
                             {{1.0}}, hooks, observer, 0, known);
  EXPECT_TRUE(at::equal(values.slice(0, 0, 6), known.clean.slice(0, 0, 6)));
  for (std::size_t step = 0; step < 3; ++step) {
    EXPECT_EQ(denoiser.shown[step].timesteps.numel(), 1);
    EXPECT_TRUE(at::equal(denoiser.shown[step].values.slice(0, 0, 6),
                          (known.clean + known.noise * (3 - static_cast<double>(step))).slice(0, 0, 6)));
  }
}

TEST(Sample, TellsTheNetworkTheLevelOfKnownTokens) {
  auto tokens = pack({{test::here(at::zeros({4, 3, 4, 6})), at::tensor({1, 0, 0}).to(at::kBool)}}, patch);
  tokens.known_timestep = 60;
  const ConstantDenoiser denoiser;
  AddingScheduler scheduler;
  Observer observer;
  SamplingHooks hooks;
  hooks.noise = [](int64_t) { return test::here(at::zeros({18, 16})); };
  sample_with(denoiser, scheduler, tokens, {{1.0}}, hooks, observer);
  for (std::size_t step = 0; step < 3; ++step)
    EXPECT_TRUE(
        at::equal(test::timestep_of_tokens(denoiser.shown[step]),
                  test::here(at::cat({at::full({6}, 60.0), at::full({12}, scheduler.timesteps()[step])}))));
}

TEST(Sample, RescalesOverTheTokensThatAreNew) {
  // Known tokens vary a hundred times as much; what they predict is not looked at.
  auto conditional = test::random_here({18, 16}, 2);
  conditional.slice(0, 0, 6).mul_(100);
  const auto guided_by = [&](const at::Tensor& known) {
    AddingScheduler scheduler;
    Observer observer;
    SamplingHooks hooks;
    hooks.noise = [](int64_t) { return test::here(at::zeros({18, 16})); };
    return sample_with(GivenDenoiser(conditional), scheduler,
                       pack({{test::here(at::zeros({4, 3, 4, 6})), known}}, patch, 2), {{5.0, 1.0}}, hooks,
                       observer);
  };
  const auto known = at::tensor({1, 0, 0}).to(at::kBool);
  EXPECT_LE(test::relative_error(guided_by(known).slice(0, 6), 3 * conditional.slice(0, 6)), 1e-5);
  EXPECT_EQ(guided_by(known).slice(0, 0, 6).abs().max().item<float>(), 0);
}

TEST(Sample, KeepsKnownTokensBitForBitWithARealNetwork) {
  const auto config = parse_wan_transformer_config(test::tiny_config("transformer"), "config.json");
  auto weights = test::tiny_weights("transformer");
  const WanTransformer network(config, weights.root(), test::device());
  const auto scheduler_config = parse_scheduler_config(
      read_json(test::golden("wan-tiny") / "scheduler" / "scheduler_config.json"), "scheduler_config.json");
  const auto latents = test::random_here({16, 3, 4, 6}, 1);
  const auto known_frames = at::tensor(std::vector<int64_t>{1, 0, 1}).to(at::kBool);
  const auto texts = test::text_states(test::random_here({2, 9, config.text_dim}, 2));
  const auto tokens = pack({{latents, known_frames}}, config.patch_size, 2);
  const std::vector<Guidance> guidance = {{5.0}};
  const auto scheduler = make_scheduler("unipc", scheduler_config, {.steps = 6});
  Observer observer;
  const auto values = sample(network, prepare_passes(network, tokens, texts, guidance), *scheduler, tokens,
                             guidance, {}, observer);
  const auto result = unpatchify(values, {3, 2, 3}, config.patch_size);
  EXPECT_TRUE(at::equal(result.select(1, 0), latents.select(1, 0)));
  EXPECT_TRUE(at::equal(result.select(1, 2), latents.select(1, 2)));
  EXPECT_GT(test::relative_error(result.select(1, 1), latents.select(1, 1)), 0.1);
}

TEST(Sample, BranchesInTurnMakeTheSame) {
  const auto config = parse_wan_transformer_config(test::tiny_config("transformer"), "config.json");
  auto weights = test::tiny_weights("transformer");
  const WanTransformer network(config, weights.root(), test::device());
  const auto scheduler_config = parse_scheduler_config(
      read_json(test::golden("wan-tiny") / "scheduler" / "scheduler_config.json"), "scheduler_config.json");
  // Two clips of unlike size, known frames in one of them, guidance for the other alone.
  const auto known = at::tensor(std::vector<int64_t>{1, 0, 0}).to(at::kBool);
  const Clip first{test::random_here({16, 3, 8, 8}, 1), known},
      second{test::random_here({16, 2, 12, 8}, 2), {}};
  const auto texts = test::text_states(test::random_here({3, 9, config.text_dim}, 3));
  const auto tokens = pack({first, second, second}, config.patch_size);
  const std::vector<Guidance> guidance = {{1.0}, {5.0, 0.7}};
  const auto made = [&](bool in_turn) {
    const auto scheduler = make_scheduler("unipc", scheduler_config, {.steps = 3});
    Observer observer;
    return sample(network, prepare_passes(network, tokens, texts, guidance, in_turn), *scheduler, tokens,
                  guidance, {}, observer);
  };
  EXPECT_LE(test::relative_error(made(true), made(false)), 1e-5);
}

// Finds tensors that are left on the CPU: the meta device takes none of another device.
TEST(Sample, RunsOnTheMetaDeviceWithKnownCells) {
  const auto config = parse_wan_transformer_config(test::tiny_config("transformer"), "config.json");
  auto weights = Weights::meta();
  const WanTransformer network(config, weights.root(), at::kMeta);
  const auto scheduler_config = parse_scheduler_config(
      read_json(test::golden("wan-tiny") / "scheduler" / "scheduler_config.json"), "scheduler_config.json");
  auto cells = at::zeros({3, 4, 6}, at::kBool);
  cells[0].fill_(true);
  cells[1][2][3] = true;
  const auto latents = at::empty({16, 3, 4, 6}, at::kMeta);
  const auto states = at::empty({5, config.text_dim}, at::kMeta);
  for (const bool levels_per_token : {true, false}) {
    const auto tokens = pack({{latents, cells}}, config.patch_size, 2, levels_per_token);
    const std::vector<TextStates> texts = {{{states}, 9}, {{states.slice(0, 0, 2)}, 9}};
    const std::vector<Guidance> guidance = {{5.0}};
    const auto scheduler = make_scheduler("unipc", scheduler_config, {.steps = 3});
    const auto content = patchify(latents, config.patch_size);
    Observer observer;
    const auto values = sample(network, prepare_passes(network, tokens, texts, guidance), *scheduler, tokens,
                               guidance, {}, observer, 0, KnownContent{content, content});
    EXPECT_TRUE(values.is_meta());
    EXPECT_EQ(values.sizes(), content.sizes());
  }
}

TEST(Sample, StopsAtTheStepThatIsNotFinite) {
  class Breaking : public ConstantDenoiser {
    at::Tensor predict(const PackedTokens& tokens, const Conditioning& text, at::Tensor*) const override {
      auto prediction = ConstantDenoiser::predict(tokens, text, nullptr);
      if (shown.size() == 2) prediction[3][5] = std::numeric_limits<float>::quiet_NaN();
      return prediction;
    }
  };
  const Breaking denoiser;
  AddingScheduler scheduler;
  Observer observer;
  test::expect_error(ErrorKind::non_finite, {"denoising", "step 2 of 3", "timestep 500"}, [&] {
    sample_with(denoiser, scheduler, zero_clip(), {{1.0}}, hooks_with_zero_noise(), observer);
  });
}

TEST(Sample, StopsBetweenStepsWhenCancelled) {
  struct Cancelling : Observer {
    void check_cancelled() override {
      if (++checks == 3) throw Error(ErrorKind::interrupted, "stopped");
    }
    int checks = 0;
  } observer;
  const ConstantDenoiser denoiser;
  AddingScheduler scheduler;
  test::expect_error(ErrorKind::interrupted, {"stopped"}, [&] {
    sample_with(denoiser, scheduler, zero_clip(), {{1.0}}, hooks_with_zero_noise(), observer);
  });
  EXPECT_EQ(denoiser.shown.size(), 2U);
}

}  // namespace
}  // namespace t2v
