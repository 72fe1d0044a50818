// The autoencoder's training step with a tiny network.
#include "train/tasks/vae_task.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "models.h"
#include "parameters.h"
#include "weights.h"

namespace t2v {
namespace {

// One clip, again and again: noise in the columns on the left, one colour on the right.
class HalfFlat : public ClipSource {
 public:
  std::size_t size_of(uint64_t, uint64_t) const override { return 0; }
  TrainingClip training_clip(uint64_t, uint64_t, std::size_t, int64_t frames) const override {
    auto clip = at::full({3, frames, 32, 32}, 0.3);
    auto left = clip.slice(3, 0, 16);
    left.copy_(at::arange(left.numel()).mul(2.3).sin().view_as(left));
    return {.frames = clip, .caption = {}, .tracks = {}, .objects = {}};
  }
  TrainingClip held_out_clip(uint64_t seed, uint64_t index, std::size_t size, int64_t frames) const override {
    return training_clip(seed, index, size, frames);
  }
  const std::vector<std::array<int64_t, 2>>& sizes() const override { return sizes_; }
  std::string fingerprint() const override { return "half flat"; }
  std::vector<std::string> training_captions(uint64_t) const override { return {}; }

 private:
  std::vector<std::array<int64_t, 2>> sizes_ = {{32, 32}};
};

class VaeTaskTest : public testing::Test {
 protected:
  VaeTaskTest() {
    at::set_num_threads(1);  // as in training
    parameters = test::tiny_parameters("vae", [&](const WeightScope& weights) { model->make_vae(weights); });
    config.lanes = 2;
    config.pixels_per_lane = 32 * 32 * 9 * 2;
    config.kinds = {{32, 32, 9, 1, true}};
    for (const auto& parameter : parameters.list())
      (belongs_to_decoder(parameter.name) ? decoder : encoder).add(parameter);
  }

  std::shared_ptr<const Model> model = test::tiny_model();
  ParameterSet parameters, encoder, decoder;
  VaeTaskConfig config;
  std::shared_ptr<ClipSource> source = make_world_source({{32, 32}, {48, 32}}, {});
  Workers workers{1};
};

TEST_F(VaeTaskTest, TheNoiseOnItsLatentsIsPartOfTheLoss) {
  const auto loss = [&](double noise) {
    config.latent_noise = noise;
    config.kl_weight = 0;
    VaeTask task(model, config, {}, source);
    task.begin_step(0, 0, workers);
    return run_lane(task, 0, parameters.replica());
  };
  const auto clean = loss(0), noisy = loss(2);
  EXPECT_EQ(clean.at("clips"), 2);
  EXPECT_EQ(clean.at("divergence"), noisy.at("divergence"));
  EXPECT_GT(noisy.at("squared_error"), clean.at("squared_error"));
}

TEST_F(VaeTaskTest, ADecodersStageLeavesTheEncoderAsItIs) {
  config.decoder_only = true;
  VaeTask task(model, config, encoder, source);
  task.begin_step(0, 0, workers);
  const auto replica = decoder.replica();
  run_lane(task, 0, replica);
  for (const auto& parameter : encoder.list())
    EXPECT_FALSE(parameter.value.grad().defined()) << parameter.name;
  for (const auto& parameter : replica.list())
    EXPECT_TRUE(parameter.value.grad().defined()) << parameter.name;
}

TEST_F(VaeTaskTest, WhatIsFlatCountsMoreByItsWeight) {
  source = std::make_shared<HalfFlat>();
  config.kinds = {{32, 32, 9, 1, false}};
  config.motion_weight = 0;
  config.decoder_only = true;
  // The sum over all pixels: 12 of 32 columns are four away from what has another colour.
  const auto sum = [&](double flat_weight) {
    config.flat_weight = flat_weight;
    VaeTask task(model, config, encoder, source);
    task.begin_step(0, 0, workers);
    return run_lane(task, 0, decoder.replica()).at("loss") * (20 + 12 * (1 + flat_weight));
  };
  const double none = sum(0), one = sum(1);
  EXPECT_GT(one, 1.02 * none);
  EXPECT_NEAR(sum(3), none + 3 * (one - none), 1e-4 * none);
}

TEST_F(VaeTaskTest, ProductsInBFloat16AreNearFloat32WithFloat32Gradients) {
  VaeTask task(model, config, {}, source);
  task.begin_step(0, 0, workers);
  const auto wide = parameters.replica();
  auto mixed = parameters.replica();
  mixed.compute_in({at::kFloat, at::kBFloat16});
  const double expected = run_lane(task, 0, wide).at("loss"), found = run_lane(task, 0, mixed).at("loss");
  EXPECT_NE(found, expected);
  EXPECT_NEAR(found / expected, 1, 0.002);
  for (const auto& parameter : mixed.list()) EXPECT_TRUE(parameter.value.grad().defined()) << parameter.name;
  test::expect_gradients_near(mixed, wide, 0.12);  // wan-tiny has 4 to 16 channels, whose roundings average
                                                   // little
}

// Finds tensors that are left on the CPU when the parameters are elsewhere. Only forwards: the meta device's
// layers hold no graph.
TEST_F(VaeTaskTest, ItsLossIsWhereItsParametersAre) {
  parameters.move_to(at::kMeta);
  VaeTask task(model, config, {}, source);
  task.begin_step(0, 0, workers);
  const auto found = task.lane_loss(1, parameters.replica());
  EXPECT_TRUE(found.loss.is_meta());
  EXPECT_TRUE(found.metrics.at("squared_error").is_meta());
}

}  // namespace
}  // namespace t2v
