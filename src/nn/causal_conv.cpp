#include "nn/causal_conv.h"

#include <ATen/ATen.h>

#include "nn/ops.h"

namespace t2v {

CausalConv3d::CausalConv3d(const WeightScope& weights, int64_t in, int64_t out, std::array<int64_t, 3> kernel)
    : kernel_t_(kernel[0]) {
  const auto weight = weights.take("weight", {out, in, kernel[0], kernel[1], kernel[2]}, Precision::product);
  weight_ = weight.transpose(1, 2)
                .reshape({out, kernel[0] * in, kernel[1], kernel[2]})
                .contiguous(at::MemoryFormat::ChannelsLast);
  bias_ = weights.take("bias", {out});
}

at::Tensor CausalConv3d::convolve(const std::vector<at::Tensor>& taps) const {
  const auto x = taps.size() == 1 ? taps[0] : at::cat(taps, 1);
  return convolve_2d(x, weight_, bias_, /*stride=*/1, /*padding=*/{weight_.size(2) / 2, weight_.size(3) / 2});
}

at::Tensor CausalConv3d::forward(const at::Tensor& x, ConvCache& cache) const {
  const int64_t history = (kernel_t_ - 1) * cache.clips;
  if (history == 0) return convolve({x});
  if (!cache.frames.defined())
    cache.frames = at::zeros({history, x.size(1), x.size(2), x.size(3)}, x.options())
                       .contiguous(at::MemoryFormat::ChannelsLast);
  const auto padded = at::cat({cache.frames, x});  // [(kernel_t - 1 + T)·clips, in, H, W]
  std::vector<at::Tensor> taps;
  for (int64_t tap = 0; tap < kernel_t_; ++tap)
    taps.push_back(padded.narrow(0, tap * cache.clips, x.size(0)));
  cache.frames = padded.narrow(0, x.size(0), history).clone();  // a view would keep the whole chunk alive
  return convolve(taps);
}

at::Tensor CausalConv3d::forward_strided(const at::Tensor& x, int64_t clips) const {
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
