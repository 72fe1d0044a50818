// Convolution over time, height and width that looks only backwards in time, fed chunk by chunk.
// Frames are the batch of a 2D convolution, in channels-last layout: the kernel's taps over time are put side
// by side on the channel axis. On a CPU that is as fast as a 3D convolution for wide layers and two to four
// times as fast for narrow ones (docs/decisions.md). On a card, where it would write each activation three
// times more, the same frames in the same layout are those of a 3D convolution.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

#include "weights/weights.h"

namespace t2v {

// The frames that a layer must remember between chunks. Several clips of one size can run together: frame by
// frame, the clips of a frame next to each other.
struct ConvCache {
  int64_t clips = 1;
  at::Tensor frames;  // undefined before the first chunk
};

class CausalConv3d {
 public:
  CausalConv3d() = default;
  // kernel: {t, h, w}. Space is padded with zeros to keep its size.
  CausalConv3d(const WeightScope& weights, int64_t in, int64_t out, std::array<int64_t, 3> kernel);

  // x [T·clips, in, H, W] → [T·clips, out, H, W]. A clip is preceded by kernel_t - 1 zero frames; `cache`
  // carries the last ones to the next chunk. Source: diffusers autoencoder_kl_wan.py, WanCausalConv3d.forward
  // with its feature cache.
  at::Tensor forward(const at::Tensor& x, ConvCache& cache) const;

  // Every second output of the same convolution without padding over time: x [T·clips, in, H, W] with T odd →
  // [(T - 1) / 2 · clips, out, H, W], for kernel_t = 3.
  at::Tensor forward_strided(const at::Tensor& x, int64_t clips) const;

 private:
  at::Tensor convolve(const std::vector<at::Tensor>& taps) const;
  at::Tensor convolve_3d(const at::Tensor& x, int64_t clips, int64_t stride) const;

  at::Tensor weight_;  // [out, kernel_t · in, h, w]; on a card, where kernel_t > 1, [out, in, kernel_t, h, w]
  at::Tensor bias_;    // [out]
  int64_t kernel_t_ = 1;
};

// An ordinary convolution over each frame.
struct FrameConv {
  at::Tensor weight, bias;  // [out, in, h, w], [out]
};
FrameConv load_frame_conv(const WeightScope& weights, int64_t in, int64_t out, int64_t kernel);

}  // namespace t2v
