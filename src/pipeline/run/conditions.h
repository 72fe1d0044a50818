// What a clip must agree with: pictures and videos of which some frames, or parts of frames, are kept. Every
// task beside text to video is a way of filling in these.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "models/video_vae.h"
#include "pipeline/run/clip_sink.h"
#include "t2v/request.h"

namespace t2v {

// The frames of a clip that are there before it is made.
struct ClipContent {
  at::Tensor frames;  // uint8 [3, F, H, W]; where nothing is known, the nearest frame that is
  at::Tensor kept;    // bool [F, 1, 1] or [F, H, W]: what stays, as the autoencoder is to see it
  at::Tensor shown;   // bool, likewise: what of it is written from here
  at::Tensor share;   // float [F, 1, 1], where seams are blended: how much of it
  // Where the network reads the frames, nothing is kept or shown:
  at::Tensor given;                    // bool [F]: which of them are there
  at::Tensor made;                     // uint8 as kept, 0 to 255: how much a control branch is to make anew
  std::vector<at::Tensor> references;  // float32 [3, H, W]: pictures that it reads beside the clip
};

// Reads what the plan's conditions say of the clip's own frames, and its references; undefined tensors where
// there are none. spatial_ratio: of the autoencoder. Throws Error{bad_input}.
ClipContent read_content(const GenerationPlan& plan, int64_t spatial_ratio, Observer& observer);

// What is known of a window's latents.
struct KnownLatents {
  at::Tensor latents;    // [C, T', h, w] in the sampler's space, T' of them from the first on
  at::Tensor cells;      // bool [T, h, w], on the CPU: those that are kept
  at::Tensor condition;  // [C', T, h, w]: what the network reads beside the sample, or undefined; begins with
                         // a frame for each reference, the last one first
};

// context: the window's first frames as they were made, or its last ones where window.after says so, float32
// [3, c, H, W] in [-1, 1], undefined for the window that is made first. A latent is kept where all of its
// frames and pixels are.
KnownLatents known_latents(const VideoVae& vae, at::Device device, const ClipContent& content,
                           const Window& window, const at::Tensor& context);

// Hands a clip's frames to `sink`: what is shown of the content in their place, and before and after them
// what the conditions have beyond the clip's ends.
std::unique_ptr<ClipSink> make_splicing_sink(std::unique_ptr<ClipSink> sink, const GenerationPlan& plan,
                                             const ClipContent& content);

}  // namespace t2v
