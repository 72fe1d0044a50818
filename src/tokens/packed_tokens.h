// Spacetime latent patches of several clips in one sequence.
// Sources: Brooks et al. 2024 (Sora, "spacetime latent patches"); Dehghani et al. 2023 (Patch n' Pack,
// NaViT).
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

namespace t2v {

struct PatchSize {
  int64_t t = 1, h = 1, w = 1;
  int64_t volume() const { return t * h * w; }
};

// Tokens along each axis of one clip.
struct TokenGrid {
  int64_t t = 0, h = 0, w = 0;
  int64_t count() const { return t * h * w; }
};

// One segment per clip and guidance branch. Linear layers and norms see all N tokens at once; attention stays
// within a segment.
struct PackedTokens {
  at::Tensor values;  // float32 [N, C·pt·ph·pw], the latents' patches: channel slowest, then t, h, w within
                      // the patch
  at::Tensor positions;  // int64 [N, 3]: t, h, w in patches
  at::Tensor timesteps;  // float32 [N]: the noise level of each token, in the model's training timesteps
  std::vector<int64_t> segments;  // [S + 1] cumulative token counts, from 0 to N
  at::Tensor known;  // bool [N], or undefined when no token is known. Known tokens are never changed.
  double known_timestep = 0;  // their noise level: 0 is clean

  int64_t segment_count() const { return static_cast<int64_t>(segments.size()) - 1; }
};

// One clip to pack.
struct Clip {
  at::Tensor latents;       // float32 [C, T, H, W]
  at::Tensor known_frames;  // bool [T] in latent frames, or undefined: which frames are known content
};

// Throws Error{usage} when a latent size is not a multiple of the patch.
TokenGrid token_grid(at::IntArrayRef latent_shape, const PatchSize& patch);

// latents [C, T, H, W] ↔ values [t·h·w, C·pt·ph·pw].
at::Tensor patchify(const at::Tensor& latents, const PatchSize& patch);
at::Tensor unpatchify(const at::Tensor& values, const TokenGrid& grid, const PatchSize& patch);

// Packs clips of any sizes, one segment each, in order, `branches` times over (2 for classifier-free
// guidance: all clips, then all clips again). Timesteps are zero until set_timestep.
PackedTokens pack(const std::vector<Clip>& clips, const PatchSize& patch, int64_t branches = 1);

// Gives every token the noise level `timestep`, known tokens their own.
void set_timestep(PackedTokens& tokens, double timestep);

}  // namespace t2v
