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
// within a segment. Only values and timesteps change while a pack is denoised.
struct PackedTokens {
  at::Tensor values;  // float32 [N, C·pt·ph·pw], the latents' patches: channel slowest, then t, h, w within
                      // the patch
  at::Tensor condition;  // float32 [N, C'·pt·ph·pw]: what the network reads beside the values, of the same
                         // layout; undefined where there is nothing
  double condition_scale = 1;  // of what the condition adds, in networks that have it as a branch of their
                               // own
  std::vector<at::Tensor> images;  // [S] the states of the pictures that each segment reads; none where none
                                   // are
  at::Tensor timesteps;       // float32 [K]: the noise levels that occur, in the model's training timesteps
  at::Tensor level_of_token;  // int64 [N]: which of them each token has; undefined when K = 1

  at::Tensor positions;                // int64 [N, 3]: t, h, w in patches
  TokenGrid extent;                    // every position is below it
  std::vector<int64_t> segments;       // [S + 1] cumulative token counts, from 0 to N
  std::vector<int64_t> text_segments;  // [R + 1] likewise: tokens that read one text; a segment has one or
                                       // more
  std::vector<int64_t> texts;          // [R] the text that each of them reads
  at::Tensor known;  // bool [N, pt·ph·pw], on the CPU: which cells of a token are known content; undefined
                     // when none are
  double timestep = 0;        // the highest of the noise levels, on the host
  double known_timestep = 0;  // the noise level of tokens that are known in all cells, where the network is
                              // told of it: 0 is clean

  double frame_rate = 24;  // of the clips, per second, where the network is told it

  int64_t segment_count() const { return static_cast<int64_t>(segments.size()) - 1; }
};

// One clip to pack.
struct Clip {
  at::Tensor latents;  // float32 [C, T, H, W]
  at::Tensor known;    // bool [T], or [T, H, W], in latents, on the CPU, or undefined: what is known content
  at::Tensor condition = {};  // float32 [C', T, H, W]: what the network reads beside them, or undefined
  at::Tensor image = {};      // [L, dim]: the states of the pictures that it reads, or undefined
};

// Throws Error{usage} when a latent size is not a multiple of the patch.
TokenGrid token_grid(at::IntArrayRef latent_shape, const PatchSize& patch);

// latents [C, T, H, W] ↔ values [t·h·w, C·pt·ph·pw].
at::Tensor patchify(const at::Tensor& latents, const PatchSize& patch);
at::Tensor unpatchify(const at::Tensor& values, const TokenGrid& grid, const PatchSize& patch);

// Packs clips of any sizes, one segment each, in order, `branches` times over (2 for classifier-free
// guidance: all clips, then all clips again). Every segment reads a text of its own, 0, 1, …. Timesteps are
// zero until set_timestep. levels_per_token: the network is told that known tokens have a noise level of
// their own; otherwise all tokens have one.
PackedTokens pack(const std::vector<Clip>& clips, const PatchSize& patch, int64_t branches = 1,
                  bool levels_per_token = true);

// Segments begin, …, end - 1 by themselves. Views of the same values.
PackedTokens segments_of(const PackedTokens& tokens, std::size_t begin, std::size_t end);

// Gives every token the noise level `timestep`; tokens that are known in all cells keep theirs, where they
// have one. Does not wait for a card.
void set_timestep(PackedTokens& tokens, double timestep);

// Gives each token its own level: float32 [N], on the CPU (or on the meta device, where every token has one
// that no other has).
void set_timesteps(PackedTokens& tokens, const at::Tensor& of_tokens);

}  // namespace t2v
