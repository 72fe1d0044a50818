// The norm of convolutional networks: over the channels of each pixel.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "weights/weights.h"

namespace t2v {

// x / |x| · sqrt(C) · gamma over the channels of each pixel. Source: diffusers
// autoencoder_kl_wan.py, WanRMS_norm. In float32 whatever x's dtype.
struct ChannelNorm {
  at::Tensor gamma;  // [1, C, 1, 1]
  at::Tensor operator()(const at::Tensor& x) const;
  // silu of the norm.
  at::Tensor silu(const at::Tensor& x) const;
};
// spatial_dims: 2 for a norm over images, 3 over video; only the checkpoint's shape differs.
ChannelNorm load_channel_norm(const WeightScope& weights, int64_t channels, int64_t spatial_dims);

}  // namespace t2v
