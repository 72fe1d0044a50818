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

class VaeTaskTest : public testing::Test {
 protected:
  VaeTaskTest() {
    at::set_num_threads(1);  // as in training
    parameters = test::tiny_parameters("vae", [&](const WeightScope& weights) { model->make_vae(weights); });
    config.lanes = 2;
    config.pixels_per_lane = 32 * 32 * 9 * 2;
    config.kinds = {{32, 32, 9, 1, true}};
  }

  std::shared_ptr<const Model> model = test::tiny_model();
  ParameterSet parameters;
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
  ParameterSet encoder, decoder;
  for (const auto& parameter : parameters.list())
    (belongs_to_decoder(parameter.name) ? decoder : encoder).add(parameter);
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
