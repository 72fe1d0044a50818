// What networks begin from when a model goes on in another form.
#include "train/initial_weights.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <map>

#include "errors.h"
#include "golden.h"
#include "paths.h"

namespace t2v {
namespace {

WanVaeConfig with_patch(WanVaeConfig config, int64_t patch) {
  config.patch_size = patch;
  config.in_channels = config.out_channels = 3 * patch * patch;
  return config;
}

TEST(InitialWeights, ALargerPatchBeginsAsTheSameAutoencoderOnMeansOfPixels) {
  const at::NoGradGuard no_grad;
  const auto generator = at::detail::createCPUGenerator(5);
  const auto frames = at::rand({3, 5, 64, 96}, generator, at::TensorOptions(at::kFloat)) * 2 - 1;
  const auto means = at::avg_pool2d(frames, 2);
  for (const auto& folder : {test::golden("wan-tiny"), test::shipped_model()}) {
    const auto model = open_model_folder(folder);
    const auto before = read_model_configs(model).vae;
    const auto larger = with_patch(before, 2 * before.patch_size);
    auto weights = vae_for(larger, model).weights(), weights_before = vae_for(before, model).weights();
    const WanVae vae(larger, weights.root()), vae_before(before, weights_before.root());
    const auto latents = vae.encode(frames).mean, latents_before = vae_before.encode(means).mean;
    EXPECT_LT((latents - latents_before).abs().max().item<double>(),
              1e-4 * latents_before.abs().max().item<double>())
        << folder;
    const auto clip = vae.decode(latents_before);
    const auto
        clip_before = vae_before.decode(latents_before).repeat_interleave(2, 2).repeat_interleave(2, 3);
    EXPECT_LT((clip - clip_before).abs().max().item<double>(), 1e-4) << folder;
  }
}

TEST(InitialWeights, OtherPatchesThanMultiplesAreRefused) {
  const auto model = open_model_folder(test::shipped_model());
  const auto config = read_model_configs(model).vae;
  for (const int64_t patch : {1, 3})
    test::expect_error(ErrorKind::bad_input, {"should have a multiple of that"},
                       [&] { vae_for(with_patch(config, patch), model); });
}

TEST(InitialWeights, MoreBlocksBeginAsTheSameTransformer) {
  const at::NoGradGuard no_grad;
  for (const auto& folder : {test::golden("wan-tiny"), test::shipped_model()}) {
    const auto model = open_model_folder(folder);
    const auto before = read_model_configs(model).transformer;
    const auto predict = [&](const WanTransformerConfig& config) {
      auto weights = transformer_for(config, model).weights();
      const WanTransformer network(config, weights.root(), at::kCPU);
      const auto latents = test::random_normal({config.in_channels, 2, 4, 6}, 1);
      auto tokens = pack({Clip{latents, {}}}, config.patch_size);
      set_timestep(tokens, 400);
      return network.predict(tokens,
                             network.prepare_text(test::random_normal({1, 5, config.text_dim}, 2), {0}));
    };
    const auto expected = predict(before);
    EXPECT_GT(expected.abs().max().item<double>(), 0.01);
    for (const int64_t blocks : {before.num_layers + 1, before.num_layers * 3 / 2, before.num_layers * 3}) {
      auto deeper = before;
      deeper.num_layers = blocks;
      EXPECT_TRUE(at::equal(predict(deeper), expected)) << folder << ", " << blocks << " blocks";
    }
  }
}

// A block whose output layers are 0 learns as long as what goes into those is not.
TEST(InitialWeights, AddedBlocksCopyTheOneBefore) {
  const auto model = open_model_folder(test::golden("wan-tiny"));
  auto config = read_model_configs(model).transformer;
  config.num_layers *= 2;
  std::map<std::string, at::Tensor> found;
  const auto set = transformer_for(config, model);
  for (const auto& parameter : set.list()) found[parameter.name] = parameter.value;
  for (int64_t block = 1; block < config.num_layers; block += 2) {
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
  const auto model = open_model_folder(test::shipped_model());
  auto config = read_model_configs(model).transformer;
  --config.num_layers;
  test::expect_error(ErrorKind::bad_input, {"should have at least as many"},
                     [&] { transformer_for(config, model); });
}

}  // namespace
}  // namespace t2v
