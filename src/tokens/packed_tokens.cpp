#include "tokens/packed_tokens.h"

#include <ATen/ATen.h>

#include <string>

#include "t2v/error.h"

namespace t2v {

TokenGrid token_grid(at::IntArrayRef latent_shape, const PatchSize& patch) {
  const TokenGrid grid{latent_shape[1] / patch.t, latent_shape[2] / patch.h, latent_shape[3] / patch.w};
  if (grid.t * patch.t != latent_shape[1] || grid.h * patch.h != latent_shape[2] ||
      grid.w * patch.w != latent_shape[3])
    throw Error(ErrorKind::usage, "latents of " + std::to_string(latent_shape[1]) + " frames of " +
                                      std::to_string(latent_shape[3]) + "x" +
                                      std::to_string(latent_shape[2]) + " do not divide into patches of " +
                                      std::to_string(patch.t) + " frames of " + std::to_string(patch.w) +
                                      "x" + std::to_string(patch.h));
  return grid;
}

at::Tensor patchify(const at::Tensor& latents, const PatchSize& patch) {
  const auto grid = token_grid(latents.sizes(), patch);
  const int64_t channels = latents.size(0);
  return latents.reshape({channels, grid.t, patch.t, grid.h, patch.h, grid.w, patch.w})
      .permute({1, 3, 5, 0, 2, 4, 6})  // [t, h, w, C, pt, ph, pw]
      .reshape({grid.count(), channels * patch.volume()});
}

at::Tensor unpatchify(const at::Tensor& values, const TokenGrid& grid, const PatchSize& patch) {
  const int64_t channels = values.size(1) / patch.volume();
  return values.reshape({grid.t, grid.h, grid.w, channels, patch.t, patch.h, patch.w})
      .permute({3, 0, 4, 1, 5, 2, 6})  // [C, t, pt, h, ph, w, pw]
      .reshape({channels, grid.t * patch.t, grid.h * patch.h, grid.w * patch.w});
}

PackedTokens pack(const std::vector<Clip>& clips, const PatchSize& patch, int64_t branches) {
  std::vector<at::Tensor> values;
  std::vector<at::Tensor> positions;
  std::vector<at::Tensor> known;
  bool any_known = false;
  PackedTokens tokens;
  tokens.segments = {0};
  for (int64_t branch = 0; branch < branches; ++branch) {
    for (const auto& clip : clips) {
      const auto grid = token_grid(clip.latents.sizes(), patch);
      const auto options = at::TensorOptions(at::kLong).device(clip.latents.device());
      const auto axes = at::meshgrid(
          {at::arange(grid.t, options), at::arange(grid.h, options), at::arange(grid.w, options)}, "ij");
      values.push_back(patchify(clip.latents, patch));
      positions.push_back(at::stack(axes, -1).reshape({grid.count(), 3}));
      any_known = any_known || clip.known_frames.defined();
      const auto frames = clip.known_frames.defined() ? clip.known_frames.reshape({grid.t, patch.t}).all(1)
                                                      : at::zeros({grid.t}, options.dtype(at::kBool));
      known.push_back(frames.repeat_interleave(grid.h * grid.w));
      tokens.segments.push_back(tokens.segments.back() + grid.count());
    }
  }
  tokens.values = at::cat(values);
  tokens.positions = at::cat(positions);
  tokens.timesteps = at::zeros({tokens.values.size(0)}, tokens.values.options().dtype(at::kFloat));
  if (any_known) tokens.known = at::cat(known);
  return tokens;
}

void set_timestep(PackedTokens& tokens, double timestep) {
  tokens.timesteps = at::full_like(tokens.timesteps, timestep);
  if (tokens.known.defined()) tokens.timesteps = tokens.timesteps.masked_fill(tokens.known, tokens.known_timestep);
}

}  // namespace t2v
