#include "nn/channel_norm.h"

#include <ATen/ATen.h>

#include <cmath>

#include "nn/fused.h"
#include "nn/ops.h"

namespace t2v {

namespace {

constexpr double smallest = 1e-24;  // mean square of a pixel of zeros, which stays zeros

}  // namespace

at::Tensor ChannelNorm::operator()(const at::Tensor& x_in) const {
  // There one kernel has it, whose sums are float32; in channels-last layout the channels are its rows.
  if (!x_in.is_cpu() && !x_in.is_meta())
    return at::rms_norm(x_in.permute({0, 2, 3, 1}), {x_in.size(1)}, gamma.view({-1}), smallest)
        .permute({0, 3, 1, 2})
        .to(x_in.scalar_type());
  const auto x = x_in.to(at::kFloat);
  const auto length = at::linalg_vector_norm(x, 2, {1}, /*keepdim=*/true).clamp_min(1e-12);  // [T, 1, H, W]
  return (x * (std::sqrt(static_cast<double>(x.size(1))) / length)).mul_(gamma).to(x_in.scalar_type());
}

at::Tensor ChannelNorm::silu(const at::Tensor& x) const {
  if (fused::takes(x)) return fused::channel_norm_silu(x, gamma.view({-1}));
  auto normed = (*this)(x);
  return silu_in_place(normed);
}

ChannelNorm load_channel_norm(const WeightScope& weights, int64_t channels, int64_t spatial_dims) {
  std::vector<int64_t> shape(static_cast<std::size_t>(spatial_dims) + 1, 1);
  shape[0] = channels;
  return {weights.take("gamma", shape).view({1, channels, 1, 1})};
}

}  // namespace t2v
