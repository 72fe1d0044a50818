// A training step on the tests' device against the same on the CPU (tools/device-check).
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "device.h"
#include "models.h"
#include "parameters.h"
#include "train/loop/optimizer.h"
#include "train/tasks/denoiser_task.h"
#include "train/tasks/reader_task.h"
#include "train/tasks/vae_task.h"

namespace t2v {
namespace {

struct Step {
  Metrics metrics;
  ParameterSet gradients;           // on the CPU
  std::vector<at::Tensor> updated;  // parameters after an optimizer's step, there too
};

// One lane and one step of the optimizer over copies of the parameters there.
Step step_on(at::Device device, TrainingTask& task, const ParameterSet& parameters) {
  Workers workers(1);
  auto moved = parameters.clone();
  moved.move_to(device);
  moved.compute_in(parameters.dtypes());
  task.begin_step(0, 0, workers);
  const auto replica = moved.replica();
  Step step;
  step.metrics = run_lane(task, 0, replica);
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : replica.list()) {
    auto gradient = parameter.value.grad();
    if (!gradient.defined()) gradient = at::zeros_like(parameter.value.detach());
    Parameter kept{parameter.name, parameter.value.detach().cpu().requires_grad_(true)};
    kept.value.mutable_grad() = gradient.cpu().clone();  // the optimizer consumes them
    step.gradients.add(kept);
    gradients.push_back(gradient);
  }
  Optimizer optimizer(moved, {});
  optimizer.step(gradients, gradient_norm(gradients), 1, workers);
  for (const auto& parameter : moved.list()) step.updated.push_back(parameter.value.detach().cpu());
  return step;
}

void expect_same_step(const std::string& name, const Step& found, const Step& expected, double share) {
  const double loss = expected.metrics.at("loss"), error = std::abs(found.metrics.at("loss") - loss) / loss;
  test::record("training: " + name, "loss", error, share);
  EXPECT_LT(error, share);
  test::expect_gradients_near(found.gradients, expected.gradients, share);
}

class Training : public testing::Test {
 protected:
  Training() { at::set_num_threads(1); }

  std::shared_ptr<const Model> model = test::tiny_model();
  std::shared_ptr<ClipSource> source = make_world_source({{32, 32}, {48, 32}}, {});
};

class DenoiserTraining : public Training {
 protected:
  DenoiserTraining() {
    parameters.add("transformer.", test::tiny_parameters("transformer", [&](const WeightScope& scope) {
                     model->make_denoiser(scope, at::kMeta);
                   }));
    parameters.add("text_encoder.", test::tiny_parameters("text_encoder", [&](const WeightScope& scope) {
                     model->make_text_encoder(scope);
                   }));
    config.tokens_per_lane = 60;
    config.lanes = 1;
    config.lengths = {{1, 1, 1}, {9, 1, 1}};
    config.objective.scheduler.prediction_type = PredictionType::flow_prediction;
    config.first_shards = 1;
    config.empty_caption = {1};
  }

  LatentCacheConfig cache_on(at::Device device) {
    LatentCacheConfig settings;
    settings.folder = folder.path();
    settings.clips_per_shard = 12;
    settings.frames = 9;
    settings.device = device;
    settings.drawing_threads = 2;
    return settings;
  }
  Step step(at::Device device, RunDtypes dtypes) {
    const auto of_vae = test::tiny_parameters("vae",
                                              [&](const WeightScope& scope) { model->make_vae(scope); });
    auto weights = of_vae.weights();
    const auto vae = model->make_vae(weights.root());
    auto there = config;
    there.device = device;
    DenoiserTask task(model, there,
                      std::make_shared<LatentCache>(cache_on(at::kCPU), *vae, *tokenizer, source, alone), {});
    parameters.compute_in(dtypes);
    return step_on(device, task, parameters);
  }

  test::TemporaryFolder folder;
  Processes alone;
  std::unique_ptr<Tokenizer> tokenizer = load_t5_tokenizer(test::shipped_model() / "tokenizer");
  ParameterSet parameters;
  DenoiserTaskConfig config;
};

TEST_F(DenoiserTraining, AStepHasTheCpusGradients) {
  const auto expected = step(at::kCPU, {}), found = step(test::device(), {});
  expect_same_step("denoiser", found, expected, 1e-3);
  for (std::size_t i = 0; i < expected.updated.size(); ++i)
    EXPECT_TRUE(at::isfinite(found.updated[i]).all().item<bool>());
}

TEST_F(DenoiserTraining, AStepInBFloat16IsNearTheCpusInFloat32) {
  const RunDtypes narrow{at::kBFloat16, at::kBFloat16};
  expect_same_step("denoiser, bfloat16", step(test::device(), narrow), step(at::kCPU, {}), 0.15);
}

TEST_F(DenoiserTraining, ClipsAreEncodedThereToTheCpusLatents) {
  const auto encode = [&](at::Device device) {
    const test::TemporaryFolder apart;
    auto settings = cache_on(device);
    settings.folder = apart.path();
    const auto on_cpu = test::tiny_parameters("vae",
                                              [&](const WeightScope& scope) { model->make_vae(scope); });
    auto moved = on_cpu.clone();
    moved.move_to(device);
    auto there = moved.weights();
    const auto vae = model->make_vae(there.root());
    LatentCache cache(settings, *vae, *tokenizer, source, alone);
    Workers workers(1);
    const at::NoGradGuard no_grad;
    cache.begin_next(1);
    cache.grow(1, workers);
    std::vector<at::Tensor> latents;
    for (std::size_t i = 0; i < cache.clips_in(1); ++i)
      latents.push_back(cache[i].latents.to(at::kFloat).flatten());
    return at::cat(latents);
  };
  const double error = test::relative_error(encode(test::device()), encode(at::kCPU));
  test::record("training: latents", "encoded", error, 2e-3);
  EXPECT_LT(error, 2e-3);  // half precision
}

TEST_F(Training, AnAutoencodersStepHasTheCpusGradients) {
  const auto parameters = test::tiny_parameters("vae",
                                                [&](const WeightScope& scope) { model->make_vae(scope); });
  VaeTaskConfig config;
  config.lanes = 1;
  config.pixels_per_lane = 32 * 32 * 9 * 2;
  config.kinds = {{32, 32, 9, 1, true}};
  const auto step = [&](at::Device device) {
    VaeTask task(model, config, {}, source);
    return step_on(device, task, parameters);
  };
  expect_same_step("autoencoder", step(test::device()), step(at::kCPU), 1e-3);
}

TEST_F(Training, AReadersStepHasTheCpusGradients) {
  ReaderTaskConfig config;
  config.lanes = 1;
  config.pixels_per_lane = 64 * 64 * 9 * 2;
  config.frames = {9};
  config.network.width = 8;
  config.sizes = {{64, 64}};
  const auto parameters = ParameterSet::initialise(reader_shapes(config.network), 1);
  ReaderTask here(config), there(config);
  expect_same_step("reader", step_on(test::device(), there, parameters), step_on(at::kCPU, here, parameters),
                   1e-3);
}

}  // namespace
}  // namespace t2v
