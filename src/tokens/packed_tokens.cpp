#include "tokens/packed_tokens.h"

#include <ATen/ATen.h>

#include <algorithm>
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

PackedTokens pack(const std::vector<Clip>& clips, const PatchSize& patch, int64_t branches,
                  bool levels_per_token) {
  std::vector<at::Tensor> values;
  std::vector<at::Tensor> positions;
  std::vector<at::Tensor> known;
  std::vector<at::Tensor> conditions;
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
      if (clip.condition.defined()) conditions.push_back(patchify(clip.condition, patch));
      if (clip.image.defined()) tokens.images.push_back(clip.image);
      any_known = any_known || clip.known.defined();
      auto cells = clip.known.defined() ? clip.known : at::zeros({1}, at::TensorOptions(at::kBool));
      if (cells.dim() == 1) cells = cells.view({-1, 1, 1});
      known.push_back(patchify(cells.expand(clip.latents.sizes().slice(1)).unsqueeze(0), patch));
      tokens.texts.push_back(tokens.segment_count());
      tokens.segments.push_back(tokens.segments.back() + grid.count());
      auto& extent = tokens.extent;
      extent = {std::max(extent.t, grid.t), std::max(extent.h, grid.h), std::max(extent.w, grid.w)};
    }
  }
  tokens.text_segments = tokens.segments;
  tokens.values = at::cat(values);
  if (!conditions.empty()) tokens.condition = at::cat(conditions);
  tokens.positions = at::cat(positions);
  if (any_known) {
    tokens.known = at::cat(known);
    if (levels_per_token)
      tokens.level_of_token = tokens.known.all(1).to(at::kLong).to(tokens.values.device());
  }
  set_timestep(tokens, 0);
  return tokens;
}

PackedTokens segments_of(const PackedTokens& tokens, std::size_t begin, std::size_t end) {
  const auto first = tokens.segments[begin], last = tokens.segments[end];
  PackedTokens part = tokens;
  for (auto* rows : {&part.values, &part.condition, &part.positions, &part.level_of_token, &part.known})
    if (rows->defined()) *rows = rows->slice(0, first, last);
  if (!tokens.images.empty())
    part.images = {tokens.images.begin() + static_cast<std::ptrdiff_t>(begin),
                   tokens.images.begin() + static_cast<std::ptrdiff_t>(end)};
  part.segments.clear();
  for (auto segment = begin; segment <= end; ++segment)
    part.segments.push_back(tokens.segments[segment] - first);
  part.text_segments = {0};
  part.texts.clear();
  for (std::size_t i = 0; i < tokens.texts.size(); ++i) {
    if (tokens.text_segments[i] < first || tokens.text_segments[i] >= last) continue;
    part.text_segments.push_back(tokens.text_segments[i + 1] - first);
    part.texts.push_back(tokens.texts[i]);
  }
  return part;
}

void set_timestep(PackedTokens& tokens, double timestep) {
  tokens.timestep = timestep;
  const auto options = tokens.values.options().dtype(at::kFloat);
  tokens.timesteps = at::full({1}, timestep, options);
  if (tokens.level_of_token.defined())
    tokens.timesteps = at::cat({tokens.timesteps, at::full({1}, tokens.known_timestep, options)});
}

void set_timesteps(PackedTokens& tokens, const at::Tensor& of_tokens) {
  const auto device = tokens.values.device();
  auto levels = of_tokens;
  auto level_of_token = at::arange(of_tokens.size(0), at::TensorOptions(at::kLong));
  if (!of_tokens.is_meta())  // which has no values to compare
    std::tie(levels, level_of_token) = at::_unique(of_tokens, /*sorted=*/true, /*return_inverse=*/true);
  if (!of_tokens.is_meta()) tokens.timestep = of_tokens.max().item<double>();
  tokens.timesteps = levels.to(device);
  tokens.level_of_token = levels.size(0) == 1 ? at::Tensor() : level_of_token.to(device);
}

}  // namespace t2v
