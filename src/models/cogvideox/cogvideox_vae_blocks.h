// The blocks of CogVideoX's autoencoder. All work on the frames of one chunk as a batch, [T, C, H, W],
// channels last; caches carry a clip's past from chunk to chunk. What the norms see is the chunk, so that the
// result depends on how a clip is cut. Source: diffusers autoencoder_kl_cogvideox.py, downsampling.py,
// upsampling.py.
#pragma once

#include <optional>
#include <vector>

#include "models/conv_caches.h"
#include "nn/causal_conv.h"
#include "weights/weights.h"

namespace t2v {

// A causal convolution before whose clip its first frame stands twice. Source: CogVideoXCausalConv3d.
at::Tensor convolve_replicated(const CausalConv3d& convolution, const at::Tensor& x, ConvCache& cache);

// Norms over groups of channels of all pixels of the chunk, statistics in float32.
struct GroupNorm {
  at::Tensor weight, bias;  // [C]
  int64_t groups = 1;
  double epsilon = 1e-6;
  at::Tensor operator()(const at::Tensor& x) const;
};
GroupNorm load_group_norm(const WeightScope& weights, int64_t channels, int64_t groups, double epsilon);

// A group norm, and in the decoder what the chunk's latents make of it: each pixel times one product of its
// latent plus another. Source: CogVideoXSpatialNorm3D.
class CogVideoXNorm {
 public:
  // latent_channels: 0 for a norm by itself.
  CogVideoXNorm(const WeightScope& weights, int64_t channels, int64_t groups, double epsilon,
                int64_t latent_channels);
  // silu of the norm; latents [t, z, h, w], or undefined.
  at::Tensor silu(const at::Tensor& x, const at::Tensor& latents) const;

 private:
  GroupNorm norm_;
  std::optional<CausalConv3d> factor_, summand_;
};

struct CogVideoXVaeSizes {
  int64_t groups = 32, latent_channels = 0;  // latent_channels: 0 in the encoder
  double epsilon = 1e-6;
};

// Source: CogVideoXResnetBlock3D.
class CogVideoXResidualBlock {
 public:
  CogVideoXResidualBlock(const WeightScope& weights, int64_t in, int64_t out, const CogVideoXVaeSizes& sizes);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& latents, ConvCaches& caches) const;

 private:
  CogVideoXNorm norm1_, norm2_;
  CausalConv3d conv1_, conv2_;
  std::optional<CausalConv3d> shortcut_;
};

// Half the size, and where `temporal` half the frames: means of two, after the first one of an odd number.
// Source: CogVideoXDownsample3D.
struct CogVideoXDownsample {
  FrameConv convolution;
  bool temporal = false;
  at::Tensor forward(const at::Tensor& x) const;
};

// Twice the size, and where `temporal` each frame twice, but for the first one of an odd number. Source:
// CogVideoXUpsample3D.
struct CogVideoXUpsample {
  FrameConv convolution;
  bool temporal = false;
  at::Tensor forward(const at::Tensor& x) const;
};

}  // namespace t2v
