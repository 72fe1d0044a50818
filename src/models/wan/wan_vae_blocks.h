// The blocks of Wan's autoencoder. All work on frames as a batch, [T, C, H, W], channels last; caches carry a
// clip's past from chunk to chunk. Source: diffusers autoencoder_kl_wan.py.
#pragma once

#include <optional>
#include <vector>

#include "models/conv_caches.h"
#include "nn/causal_conv.h"
#include "nn/channel_norm.h"
#include "weights/weights.h"

namespace t2v {

// Source: WanResidualBlock.
class VaeResidualBlock {
 public:
  VaeResidualBlock(const WeightScope& weights, int64_t in, int64_t out);
  at::Tensor forward(const at::Tensor& x, ConvCaches& caches) const;

 private:
  ChannelNorm norm1_, norm2_;
  CausalConv3d conv1_, conv2_;
  std::optional<CausalConv3d> shortcut_;
};

// Attention among the pixels of each frame, one head. Source: WanAttentionBlock.
class VaeAttentionBlock {
 public:
  VaeAttentionBlock(const WeightScope& weights, int64_t channels);
  at::Tensor forward(const at::Tensor& x) const;

 private:
  ChannelNorm norm_;
  at::Tensor qkv_weight_, qkv_bias_, proj_weight_, proj_bias_;  // 1x1 convolutions as matrices
};

// Residual, attention, residual. Source: WanMidBlock.
class VaeMidBlock {
 public:
  VaeMidBlock(const WeightScope& weights, int64_t channels);
  at::Tensor forward(const at::Tensor& x, ConvCaches& caches) const;

 private:
  VaeResidualBlock first_;
  VaeAttentionBlock attention_;
  VaeResidualBlock second_;
};

// Twice the size, and twice the frames where `temporal`: the clip's first latent frame stays one frame.
// Source: WanResample, upsample2d and upsample3d.
class VaeUpsample {
 public:
  VaeUpsample(const WeightScope& weights, int64_t channels, int64_t out, bool temporal);
  at::Tensor forward(at::Tensor x, ConvCaches& caches, bool first_chunk) const;

 private:
  std::optional<CausalConv3d> time_conv_;
  FrameConv conv_;
};

// Half the size, and half the frames where `temporal`: the clip's first frame stays. Source: WanResample,
// downsample2d and downsample3d.
class VaeDownsample {
 public:
  VaeDownsample(const WeightScope& weights, int64_t channels, bool temporal);
  at::Tensor forward(at::Tensor x, ConvCaches& caches, bool first_chunk) const;

 private:
  std::optional<CausalConv3d> time_conv_;
  FrameConv conv_;
};

// What a resampling level of Wan 2.2's autoencoder does to frames and pixels.
struct VaeFactors {
  int64_t time = 1, space = 1;
};

// Residual blocks and a downsampling, beside the means of what they fold into a channel. Source:
// WanResidualDownBlock, AvgDown3D.
class VaeResidualDown {
 public:
  VaeResidualDown(const WeightScope& weights, int64_t in, int64_t out, int64_t resnets, VaeFactors factors);
  at::Tensor forward(const at::Tensor& x, ConvCaches& caches, bool first_chunk) const;

 private:
  int64_t out_;
  VaeFactors factors_;
  std::vector<VaeResidualBlock> resnets_;
  std::optional<VaeDownsample> downsampler_;
};

// Residual blocks and an upsampling, beside copies of what came in. Source: WanResidualUpBlock, DupUp3D.
class VaeResidualUp {
 public:
  VaeResidualUp(const WeightScope& weights, int64_t in, int64_t out, int64_t resnets, VaeFactors factors);
  at::Tensor forward(const at::Tensor& x, ConvCaches& caches, bool first_chunk) const;

 private:
  int64_t out_;
  VaeFactors factors_;
  std::vector<VaeResidualBlock> resnets_;
  std::optional<VaeUpsample> upsampler_;
};

}  // namespace t2v
