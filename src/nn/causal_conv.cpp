#include "nn/causal_conv.h"

#include <ATen/ATen.h>

#include "nn/ops.h"

namespace t2v {

CausalConv3d::CausalConv3d(const WeightScope& weights, int64_t in, int64_t out, std::array<int64_t, 3> kernel)
    : kernel_t_(kernel[0]) {
  const auto weight = weights.take("weight", {out, in, kernel[0], kernel[1], kernel[2]}, Precision::product);
  const bool by_taps = kernel_t_ == 1 || weight.is_cpu() || weight.is_meta();
  weight_ = by_taps ? weight.transpose(1, 2)
                          .reshape({out, kernel[0] * in, kernel[1], kernel[2]})
                          .contiguous(at::MemoryFormat::ChannelsLast)
                    : weight.contiguous(at::MemoryFormat::ChannelsLast3d);
  bias_ = weights.take("bias", {out});
}

at::Tensor CausalConv3d::convolve(const std::vector<at::Tensor>& taps) const {
  const auto x = taps.size() == 1 ? taps[0] : at::cat(taps, 1);
  return convolve_2d(x, weight_, bias_, /*stride=*/1, /*padding=*/{weight_.size(2) / 2, weight_.size(3) / 2});
}

// x [T·clips, in, H, W], channels last → [T', clips, out, H', W'] as the same.
at::Tensor CausalConv3d::convolve_3d(const at::Tensor& x, int64_t clips, int64_t stride) const {
  // [clips, in, T, H, W]: of one clip a view, and channels last as well.
  const auto volume = x.unflatten(0, {-1, clips}).permute({1, 2, 0, 3, 4});
  const std::array<int64_t, 3> strides{stride, 1, 1}, padding{0, weight_.size(3) / 2, weight_.size(4) / 2};
  at::Tensor made;
  if (weight_.scalar_type() == x.scalar_type())
    made = at::conv3d(volume, weight_, bias_, strides, padding);
  else  // a trainer's products in bfloat16
    made = at::conv3d(volume.to(weight_.scalar_type()), weight_, {}, strides, padding).to(x.scalar_type()) +
           bias_.view({1, -1, 1, 1, 1});
  return made.permute({2, 0, 1, 3, 4}).flatten(0, 1);
}

at::Tensor CausalConv3d::forward(const at::Tensor& x, ConvCache& cache) const {
  const int64_t history = (kernel_t_ - 1) * cache.clips;
  if (history == 0) return convolve({x});
  if (!cache.frames.defined())
    cache.frames = at::zeros({history, x.size(1), x.size(2), x.size(3)}, x.options())
                       .contiguous(at::MemoryFormat::ChannelsLast);
  const auto padded = at::cat({cache.frames, x});               // [(kernel_t - 1 + T)·clips, in, H, W]
  cache.frames = padded.narrow(0, x.size(0), history).clone();  // a view would keep the whole chunk alive
  if (weight_.dim() == 5) return convolve_3d(padded, cache.clips, 1);
  std::vector<at::Tensor> taps;
  for (int64_t tap = 0; tap < kernel_t_; ++tap)
    taps.push_back(padded.narrow(0, tap * cache.clips, x.size(0)));
  return convolve(taps);
}

at::Tensor CausalConv3d::forward_strided(const at::Tensor& x, int64_t clips) const {
  if (weight_.dim() == 5) return convolve_3d(x, clips, 2);
  const auto frames = x.unflatten(0, {x.size(0) / clips, clips});
  const int64_t outputs = (frames.size(0) - 1) / 2;
  std::vector<at::Tensor> taps;
  for (int64_t tap = 0; tap < kernel_t_; ++tap)
    taps.push_back(frames.slice(0, tap, tap + 2 * outputs - 1, 2)
                       .flatten(0, 1)
                       .contiguous(at::MemoryFormat::ChannelsLast));
  return convolve(taps);
}

FrameConv load_frame_conv(const WeightScope& weights, int64_t in, int64_t out, int64_t kernel) {
  const auto weight = weights.take("weight", {out, in, kernel, kernel}, Precision::product);
  return {weight.contiguous(at::MemoryFormat::ChannelsLast), weights.take("bias", {out})};
}

}  // namespace t2v
