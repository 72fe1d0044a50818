// A long clip is made window by window: each window begins with the last frames of the one before, which it
// knows, and goes on from there. What is known are those frames as the autoencoder gave them, encoded again
// as a clip of their own: that is what the network was trained to go on from. Handing the latents themselves
// on was measured too: they drift away within a few windows (docs/long.md). Some families' own pipelines do
// that (Model::hands_on_latents).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "models/video_vae.h"
#include "t2v/request.h"

namespace t2v {

// The windows of a clip. All have `window` frames, or as many as the longest shot needs where that is less.
// Each begins with `overlap` frames of the one before, the last one of a shot with as many as fill it, and
// the first one of a cut with none. window and overlap are 1 + ratio·k, overlap < window. Without `fill` the
// last one begins with `overlap` frames as well, and is shorter.
std::vector<Window> windows_of(const std::vector<Shot>& shots, int64_t window, int64_t overlap, int64_t ratio,
                               bool fill = true);

// plan.latent_shape and plan.tokens of one window.
std::vector<int64_t> window_latent_shape(const GenerationPlan& plan, std::size_t window);
int64_t window_tokens(const GenerationPlan& plan, std::size_t window);

// The same of a clip that is made from its end, in the order in which they are made: the last one of the clip
// first. Each of the others ends with as many frames of the one made before it as `overlap` has steps of
// ratio, or one step, and the first one of the clip with as many as fill it. What is handed on begins with
// the second frame, so that a latent of ratio frames becomes one again. frames: 1 + ratio·k; window: at least
// 1 + 2·ratio where that is less.
std::vector<Window> windows_from_end(int64_t frames, int64_t window, int64_t overlap, int64_t ratio);

// The windows of a loop, which are made together (pipeline/run/ring_denoiser.h): each has half of its latents
// in common with the next one, the last one with the first, and shows its last ones. frames: ratio·k, at
// least 2·ratio; window: 1 + ratio·k, at least 1 + 2·ratio.
std::vector<Window> windows_of_loop(int64_t frames, int64_t window, int64_t ratio);

// How many windows of a clip are made one after the other.
int64_t windows_in_turn(const GenerationPlan& plan);
// Tokens of one pass and guidance branch.
int64_t tokens_of_pass(const GenerationPlan& plan);

// The frames of a window's latents that the one made after it ends with: float32 [3, next.after, H, W].
at::Tensor decode_beginning(const VideoVae& vae, const at::Tensor& latents, const Window& next);

// Decodes window `index`: its new frames go to `sink`, float32 [3, t, H, W] in [-1, 1], in order, a few at a
// time. latents [C, T, h, w] in the sampler's space. Returns the frames that the next window begins with
// (undefined after the last one).
at::Tensor decode_window(const VideoVae& vae, const at::Tensor& latents, const std::vector<Window>& windows,
                         std::size_t index, const std::function<void(const at::Tensor&)>& sink);

}  // namespace t2v
