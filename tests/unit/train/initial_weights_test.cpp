// What networks begin from when a model goes on in another form.
#include "train/initial_weights.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "errors.h"
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
    EXPECT_LT((latents - latents_before).abs().max().item<double>(), 1e-4 * latents_before.abs().max().item<double>()) << folder;
    const auto clip = vae.decode(latents_before);
    const auto clip_before = vae_before.decode(latents_before).repeat_interleave(2, 2).repeat_interleave(2, 3);
    EXPECT_LT((clip - clip_before).abs().max().item<double>(), 1e-4) << folder;
  }
}

TEST(InitialWeights, OtherPatchesThanMultiplesAreRefused) {
  const auto model = open_model_folder(test::shipped_model());
  const auto config = read_model_configs(model).vae;
  for (const int64_t patch : {1, 3})
    test::expect_error(ErrorKind::bad_input, {"should have a multiple of that"}, [&] { vae_for(with_patch(config, patch), model); });
}

}  // namespace
}  // namespace t2v
