// What networks begin from when a model goes on in another form.
#include "train/loop/initial_weights.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <map>

#include "errors.h"
#include "golden.h"
#include "paths.h"
#include "texts.h"

namespace t2v {
namespace {

// The model with other numbers in a component's config.
std::unique_ptr<Model> changed(const ModelFolder& folder, const std::string& component, const Json& changes) {
  auto other = folder;
  auto config = folder.config(component);
  config.update(changes);
  other.given_configs[component] = {config, "changed"};
  return open_model(other);
}

std::unique_ptr<Model> with_patch(const ModelFolder& folder, int64_t patch) {
  return changed(folder, "vae",
                 {{"patch_size", patch},
                  {"in_channels", 3 * patch * patch},
                  {"out_channels", 3 * patch * patch},
                  {"scale_factor_spatial", nullptr}});
}

std::unique_ptr<Model> with_blocks(const ModelFolder& folder, int64_t blocks) {
  return changed(folder, "transformer", {{"num_layers", blocks}});
}

int64_t number(const ModelFolder& folder, const std::string& component, const char* key) {
  const auto config = folder.config(component);
  return config.contains(key) && !config.at(key).is_null() ? config.at(key).get<int64_t>() : 1;
}

TEST(InitialWeights, ALargerPatchBeginsAsTheSameAutoencoderOnMeansOfPixels) {
  const at::NoGradGuard no_grad;
  const auto generator = at::detail::createCPUGenerator(5);
  const auto frames = at::rand({3, 5, 64, 96}, generator, at::TensorOptions(at::kFloat)) * 2 - 1;
  const auto means = at::avg_pool2d(frames, 2);
  for (const auto& folder : {test::golden("wan-tiny"), test::shipped_model()}) {
    const auto files = open_model_folder(folder);
    const auto before = open_model(files);
    const auto larger = with_patch(files, 2 * number(files, "vae", "patch_size"));
    auto weights = vae_from(*larger, *before).weights(),
         weights_before = vae_from(*before, *before).weights();
    const auto vae = larger->make_vae(weights.root()), vae_before = before->make_vae(weights_before.root());
    const auto latents = vae->encode(frames).mean, latents_before = vae_before->encode(means).mean;
    EXPECT_LT((latents - latents_before).abs().max().item<double>(),
              1e-4 * latents_before.abs().max().item<double>())
        << folder;
    const auto clip = vae->decode(latents_before);
    const auto
        clip_before = vae_before->decode(latents_before).repeat_interleave(2, 2).repeat_interleave(2, 3);
    EXPECT_LT((clip - clip_before).abs().max().item<double>(), 1e-4) << folder;
  }
}

TEST(InitialWeights, OtherPatchesThanMultiplesAreRefused) {
  const auto files = open_model_folder(test::shipped_model());
  for (const int64_t patch : {1, 3})
    test::expect_error(ErrorKind::bad_input, {"should have a multiple of that"},
                       [&] { vae_from(*with_patch(files, patch), *open_model(files)); });
}

TEST(InitialWeights, MoreBlocksBeginAsTheSameTransformer) {
  const at::NoGradGuard no_grad;
  for (const auto& folder : {test::golden("wan-tiny"), test::shipped_model()}) {
    const auto files = open_model_folder(folder);
    const auto before = open_model(files);
    const auto predict = [&](const Model& model) {
      auto weights = denoiser_from(model, *before).weights();
      const auto network = model.make_denoiser(weights.root(), at::kCPU);
      const auto latents = test::random_normal({network->in_channels(), 2, 4, 6}, 1);
      auto tokens = pack({Clip{latents, {}}}, model.patch_size());
      set_timestep(tokens, 400);
      return test::predict_with(*network, tokens, test::random_normal({1, 5, model.text_width()}, 2), {0});
    };
    const auto expected = predict(*before);
    EXPECT_GT(expected.abs().max().item<double>(), 0.01);
    const auto layers = number(files, "transformer", "num_layers");
    for (const int64_t blocks : {layers + 1, layers * 3 / 2, layers * 3})
      EXPECT_TRUE(at::equal(predict(*with_blocks(files, blocks)), expected))
          << folder << ", " << blocks << " blocks";
  }
}

// A block whose output layers are 0 learns as long as what goes into those is not.
TEST(InitialWeights, AddedBlocksCopyTheOneBefore) {
  const auto files = open_model_folder(test::golden("wan-tiny"));
  const auto blocks = 2 * number(files, "transformer", "num_layers");
  std::map<std::string, at::Tensor> found;
  const auto set = denoiser_from(*with_blocks(files, blocks), *open_model(files));
  for (const auto& parameter : set.list()) found[parameter.name] = parameter.value;
  for (int64_t block = 1; block < blocks; block += 2) {
    const auto added = "blocks." + std::to_string(block) + ".",
               copied = "blocks." + std::to_string(block - 1) + ".";
    int64_t outputs = 0;
    for (const auto& [name, value] : found) {
      if (!name.starts_with(added)) continue;
      const auto& source = found.at(copied + name.substr(added.size()));
      if (at::equal(value, source)) continue;
      EXPECT_EQ(value.abs().max().item<double>(), 0) << name;
      EXPECT_TRUE(name.ends_with("to_out.0.weight") || name.ends_with("to_out.0.bias") ||
                  name.ends_with("ffn.net.2.weight") || name.ends_with("ffn.net.2.bias"))
          << name;
      ++outputs;
    }
    EXPECT_GE(outputs, 3);
  }
}

TEST(InitialWeights, FewerBlocksAreRefused) {
  const auto files = open_model_folder(test::shipped_model());
  const auto fewer = number(files, "transformer", "num_layers") - 1;
  test::expect_error(ErrorKind::bad_input, {"should have at least as many"},
                     [&] { denoiser_from(*with_blocks(files, fewer), *open_model(files)); });
}

TEST(InitialWeights, WhatDiffersInAnotherWayIsRefused) {
  const auto files = open_model_folder(test::golden("wan-tiny"));
  const auto wider = changed(files, "transformer", {{"ffn_dim", 7}});
  test::expect_error(ErrorKind::bad_input, {"is misshaped"},
                     [&] { denoiser_from(*wider, *open_model(files)); });
}

}  // namespace
}  // namespace t2v
