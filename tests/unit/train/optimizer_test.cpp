#include "train/loop/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "errors.h"
#include "golden.h"
#include "train/tasks/objective.h"

namespace t2v {
namespace {

ParameterSet one_parameter(const std::string& name, const at::Tensor& value) {
  ParameterSet set;
  set.add({name, value.detach().clone().requires_grad_(true)});
  return set;
}

TEST(Orthogonalise, MakesSingularValuesNearlyOne) {
  for (const auto& [rows, columns] : {std::pair{12, 12}, std::pair{6, 40}, std::pair{40, 6}}) {
    const auto x = test::random_normal({3, rows, columns}, 5);
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto found = orthogonalise(x.to(dtype));
      EXPECT_EQ(found.scalar_type(), dtype);
      const auto singular = at::linalg_svdvals(found.to(at::kFloat));
      EXPECT_GT(singular.min().item<double>(), 0.3) << rows << "x" << columns << " " << dtype;
      EXPECT_LT(singular.max().item<double>(), 1.4) << rows << "x" << columns << " " << dtype;
    }
    // A batch is its matrices one by one.
    EXPECT_LE(test::relative_error(orthogonalise(x)[1], orthogonalise(x.narrow(0, 1, 1))[0]), 1e-5);
  }
}

Workers& workers() {
  static Workers two(2);
  return two;
}

TEST(Muon, TakesMatricesAndConvolutionsInside) {
  EXPECT_TRUE(is_muon_parameter("transformer.blocks.0.attn1.to_q.weight", {8, 8}));
  EXPECT_TRUE(is_muon_parameter("decoder.up_blocks.0.resnets.0.conv1.weight", {8, 8, 3, 3, 3}));
  for (const char* name :
       {"text_encoder.shared.weight", "transformer.patch_embedding.weight", "transformer.proj_out.weight",
        "encoder.conv_in.weight", "decoder.conv_out.weight", "transformer.scale_shift_table"})
    EXPECT_FALSE(is_muon_parameter(name, {8, 8})) << name;
  EXPECT_FALSE(is_muon_parameter("transformer.blocks.0.attn1.to_q.bias", {8}));
  EXPECT_FALSE(is_muon_parameter("encoder.norm_out.gamma", {8, 1, 1, 1}));
}

TEST(AdamW, FollowsTheFormula) {
  OptimizerConfig config;
  config.muon = false;
  config.adam_learning_rate = 0.1;
  config.weight_decay = 0.5;
  config.clip_norm = 0;
  const auto parameters = one_parameter("w", at::full({1, 1}, 2.0F));
  Optimizer optimizer(parameters, config);
  double value = 2, first = 0, second = 0;
  const double gradients[] = {0.3, -1.0, 0.25};
  for (int t = 1; t <= 3; ++t) {
    std::vector<at::Tensor> gradient = {at::full({1, 1}, static_cast<float>(gradients[t - 1]))};
    optimizer.step(gradient, gradient_norm(gradient), 0.5, workers());
    const double rate = 0.1 * 0.5;
    first = 0.9 * first + 0.1 * gradients[t - 1];
    second = 0.95 * second + 0.05 * gradients[t - 1] * gradients[t - 1];
    value *= 1 - rate * 0.5;
    value -= rate * first / (1 - std::pow(0.9, t)) / (std::sqrt(second / (1 - std::pow(0.95, t))) + 1e-8);
    EXPECT_NEAR(parameters.list()[0].value.item<double>(), value, 1e-5);
  }
}

TEST(Optimizer, ClipsTheWholeGradient) {
  OptimizerConfig config;
  config.clip_norm = 1;
  const auto parameters = one_parameter("w", at::zeros({4}));
  Optimizer optimizer(parameters, config);
  std::vector<at::Tensor> gradients = {at::full({4}, 10.0F)};
  const double norm = gradient_norm(gradients);
  EXPECT_NEAR(norm, 20, 1e-4);
  optimizer.step(gradients, norm, 1, workers());
  EXPECT_NEAR(gradients[0].norm().item<double>(), 1, 1e-4);
}

TEST(Optimizer, LeavesAGradientWithinTheLimitAsItIs) {
  for (const double limit : {20.0, 0.0}) {  // 0: no limit
    OptimizerConfig config;
    config.clip_norm = limit;
    const auto parameters = one_parameter("w", at::zeros({4}));
    Optimizer optimizer(parameters, config);
    std::vector<at::Tensor> gradients = {at::full({4}, 9.0F)};
    optimizer.step(gradients, gradient_norm(gradients), 1, workers());
    EXPECT_TRUE(at::equal(gradients[0], at::full({4}, 9.0F)));
  }
}

TEST(Optimizer, TheAverageFollowsTheParameters) {
  OptimizerConfig config;
  config.muon = false;
  const auto parameters = one_parameter("w", at::full({1}, 2.0F));
  Optimizer optimizer(parameters, config);
  double average = 2;
  for (int t = 1; t <= 3; ++t) {
    std::vector<at::Tensor> gradients = {at::ones({1})};
    optimizer.step(gradients, gradient_norm(gradients), 1, workers());
    const double decay = std::min(config.ema_decay, (1.0 + t) / (10.0 + t));
    average = decay * average + (1 - decay) * parameters.list()[0].value.item<double>();
    EXPECT_NEAR(optimizer.average().list()[0].value.item<double>(), average, 1e-6);
  }
}

TEST(Optimizer, ARestoredOneTakesTheSameNextStep) {
  const auto start = [] {
    ParameterSet set;
    set.add({"inner.weight", test::random_normal({6, 4}, 1).requires_grad_(true)});
    set.add({"inner.bias", test::random_normal({6}, 2).requires_grad_(true)});
    return set;
  };
  const auto step = [](Optimizer& optimizer, int64_t seed) {
    std::vector<at::Tensor> gradients = {test::random_normal({6, 4}, seed),
                                         test::random_normal({6}, seed + 1)};
    optimizer.step(gradients, gradient_norm(gradients), 1, workers());
  };
  Optimizer one(start(), {}), other(start(), {});
  step(one, 3), step(one, 5);
  std::map<std::string, at::Tensor> saved;
  for (const auto& [name, tensor] : one.state()) saved[name] = tensor.clone();
  other.restore(Weights::from_tensors(saved), one.steps());
  step(one, 7), step(other, 7);
  const auto expected = one.state(), found = other.state();
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_TRUE(at::equal(found[i].second, expected[i].second)) << found[i].first;
    EXPECT_FALSE(at::equal(found[i].second, saved.at(found[i].first))) << found[i].first;
  }
  saved.erase("first.inner.bias");
  test::expect_error(ErrorKind::bad_input, {"missing: first.inner.bias"},
                     [&] { other.restore(Weights::from_tensors(saved), 2); });
}

TEST(Optimizer, TheNormOfANonFiniteGradientIsNotFinite) {
  for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
    EXPECT_FALSE(std::isfinite(gradient_norm({at::ones({3}), at::full({2, 2}, value)})));
}

SchedulerConfig zero_snr(PredictionType type) {
  SchedulerConfig scheduler;
  scheduler.beta_schedule = BetaSchedule::squaredcos_cap_v2;
  scheduler.rescale_betas_zero_snr = type == PredictionType::v_prediction;
  scheduler.prediction_type = type;
  return scheduler;
}

TEST(Objective, TargetsAreTheirFormulas) {
  const auto clean = test::random_normal({3, 4}, 1), noise = test::random_normal({3, 4}, 2);
  const auto alpha = at::full({1}, 0.6F), sigma = at::full({1}, 0.8F);
  const auto target = [&](PredictionType type) {
    return Objective({.scheduler = zero_snr(type)}).target(clean, noise, alpha, sigma);
  };
  EXPECT_TRUE(at::equal(target(PredictionType::epsilon), noise));
  EXPECT_TRUE(at::equal(target(PredictionType::v_prediction), alpha * noise - sigma * clean));
  EXPECT_TRUE(at::equal(target(PredictionType::flow_prediction), noise - clean));
}

TEST(Objective, ZeroTerminalSnrEndsInPureNoise) {
  const auto last = Objective({.scheduler = zero_snr(PredictionType::v_prediction)}).level(0.9999);
  EXPECT_EQ(last.timestep, 999);
  EXPECT_NEAR(last.alpha, 0, 1e-6);
  EXPECT_NEAR(last.sigma, 1, 1e-6);
}

// Hang et al. 2023, equation 8 for each prediction: min(SNR, gamma) on the squared error of the clean sample.
// That error is sigma / alpha times epsilon's (1 / SNR), sigma times v's where alpha² + sigma² = 1, sigma
// times that of the flow.
TEST(Objective, MinSnrWeighsTheErrorOfTheCleanSample) {
  for (const auto type :
       {PredictionType::epsilon, PredictionType::v_prediction, PredictionType::flow_prediction}) {
    ObjectiveConfig config{.scheduler = zero_snr(type)};
    config.min_snr_gamma = 5;
    const Objective objective(config);
    bool capped = false, not_capped = false;
    for (const double share : {0.02, 0.2, 0.5, 0.8, 0.95}) {
      const auto level = objective.level(share);
      const double snr = std::pow(level.alpha / level.sigma, 2);
      const double variance = std::pow(level.sigma, 2);
      const double on_clean = type == PredictionType::epsilon ? 1 / snr : variance;
      EXPECT_NEAR(level.weight / (std::min(snr, 5.0) * on_clean), 1, 1e-4)
          << static_cast<int>(type) << " " << share;
      (snr > 5 ? capped : not_capped) = true;
    }
    EXPECT_TRUE(capped && not_capped);
    config.min_snr_gamma = 0;
    EXPECT_EQ(Objective(config).level(0.5).weight, 1);
  }
}

TEST(Objective, FramesShareALevelOrBeginCleanOrHaveTheirOwn) {
  ObjectiveConfig config{.scheduler = zero_snr(PredictionType::v_prediction)};
  config.first_clean_share = 0.3;
  config.independent_share = 0.2;
  const Objective objective(config);
  WorldRandom random(1);
  int clean = 0, own = 0;
  constexpr int draws = 4000;
  for (int i = 0; i < draws; ++i) {
    const auto levels = objective.draw(5, random);
    ASSERT_EQ(levels.size(), 5U);
    if (levels[0].weight == 0) {
      ++clean;
      EXPECT_EQ(levels[0].timestep, 0);
      EXPECT_EQ(levels[0].alpha, 1);
      EXPECT_EQ(levels[0].sigma, 0);
      EXPECT_GT(levels[4].weight, 0) << "a clip with nothing to learn from";
    } else if (levels[3].timestep != levels[4].timestep) {
      ++own;
    }
  }
  EXPECT_NEAR(clean / static_cast<double>(draws), 0.3, 0.03);
  EXPECT_NEAR(own / static_cast<double>(draws), 0.2, 0.03);
  EXPECT_EQ(objective.draw(1, random).size(), 1U);
}

TEST(Objective, TheFirstFramesAreCleanOrNearlyAndAsManyAsAsked) {
  ObjectiveConfig config{.scheduler = zero_snr(PredictionType::v_prediction)};
  config.first_clean_share = 1;
  config.first_clean_frames = 5;
  config.first_noise = 0.1;
  const Objective objective(config);
  const double noisiest = objective.level(0.1).sigma;
  WorldRandom random(1);
  std::array<int, 6> counts{};
  int clean = 0;
  constexpr int draws = 4000;
  for (int i = 0; i < draws; ++i) {
    const auto levels = objective.draw(9, random);
    std::size_t known = 0;
    while (known < levels.size() && levels[known].weight == 0) ++known;
    ASSERT_GE(known, 1U);
    ASSERT_LE(known, 5U);
    ++counts[known];
    clean += levels[0].sigma == 0 && levels[0].timestep == 0;
    for (std::size_t t = 0; t < known; ++t) {
      EXPECT_LE(levels[t].sigma, noisiest);
      EXPECT_EQ(levels[t].sigma, levels[0].sigma);
    }
    for (std::size_t t = known; t < levels.size(); ++t) EXPECT_EQ(levels[t].sigma, levels[8].sigma);
  }
  for (std::size_t known = 1; known <= 5; ++known) EXPECT_NEAR(counts[known] / double{draws}, 0.2, 0.03);
  EXPECT_NEAR(clean / double{draws}, 0.5, 0.03);
  EXPECT_GT(objective.draw(2, random)[1].weight, 0) << "a clip with nothing to learn from";
}

}  // namespace
}  // namespace t2v
