#include "models/cogvideox/cogvideox_vae_blocks.h"

#include <ATen/ATen.h>

#include "nn/ops.h"

namespace t2v {

namespace {

constexpr std::array<int64_t, 3> pointwise = {1, 1, 1}, cube = {3, 3, 3};

at::Tensor pixelwise(const CausalConv3d& convolution, const at::Tensor& x) {
  ConvCache none;
  return convolution.forward(x, none);
}

}  // namespace

at::Tensor convolve_replicated(const CausalConv3d& convolution, const at::Tensor& x, ConvCache& cache) {
  if (!cache.frames.defined()) {
    const auto first = x.narrow(0, 0, 1);
    cache.frames = at::cat({first, first}).contiguous(at::MemoryFormat::ChannelsLast);
  }
  return convolution.forward(x, cache);
}

at::Tensor GroupNorm::operator()(const at::Tensor& x) const {
  const auto grouped = x.to(at::kFloat).unflatten(1, {groups, -1});  // [T, G, C / G, H, W]
  const auto per_channel = [&](const at::Tensor& values) {
    return values.to(at::kFloat).view({1, groups, -1, 1, 1});
  };
  // Two means: var_mean's last bits depend on the number of threads. Each of rows first, and of those in
  // double: one float32 sum of all pixels of large frames is off by 1e-4.
  const auto mean = [](const at::Tensor& values) {
    return values.mean(4, /*keepdim=*/true).mean({0, 2, 3}, /*keepdim=*/true, at::kDouble).to(at::kFloat);
  };
  auto normed = grouped - mean(grouped);
  const auto variance = mean(normed.square());
  normed.mul_(at::rsqrt(variance + epsilon) * per_channel(weight)).add_(per_channel(bias));
  return normed.flatten(1, 2).to(x.scalar_type());
}

GroupNorm load_group_norm(const WeightScope& weights, int64_t channels, int64_t groups, double epsilon) {
  return {weights.take("weight", {channels}), weights.take("bias", {channels}), groups, epsilon};
}

CogVideoXNorm::CogVideoXNorm(const WeightScope& weights, int64_t channels, int64_t groups, double epsilon,
                             int64_t latent_channels) {
  if (latent_channels == 0) {
    norm_ = load_group_norm(weights, channels, groups, epsilon);
    return;
  }
  norm_ = load_group_norm(weights / "norm_layer", channels, groups, 1e-6);
  factor_.emplace(weights / "conv_y" / "conv", latent_channels, channels, pointwise);
  summand_.emplace(weights / "conv_b" / "conv", latent_channels, channels, pointwise);
}

at::Tensor CogVideoXNorm::silu(const at::Tensor& x, const at::Tensor& latents) const {
  auto normed = norm_(x);
  if (!factor_) return silu_in_place(normed);
  // The reference enlarges the latents and convolves them at the size of x. A pointwise convolution of
  // latents that is enlarged afterwards, latent frame by latent frame, has the same values.
  const auto factors = pixelwise(*factor_, latents), summands = pixelwise(*summand_, latents);
  const int64_t frames = x.size(0), t = latents.size(0);
  const bool first_alone = frames > 1 && frames % 2 == 1;
  const int64_t repeat = first_alone ? (frames - 1) / (t - 1) : frames / t;
  int64_t begin = 0;
  for (int64_t i = 0; i < t; ++i) {
    const int64_t count = first_alone && i == 0 ? 1 : repeat;
    const auto enlarged = [&](const at::Tensor& of_latents) {
      return at::upsample_nearest2d(of_latents.narrow(0, i, 1), {x.size(2), x.size(3)});
    };
    normed.narrow(0, begin, count).mul_(enlarged(factors)).add_(enlarged(summands));
    begin += count;
  }
  return silu_in_place(normed);
}

CogVideoXResidualBlock::CogVideoXResidualBlock(const WeightScope& weights, int64_t in, int64_t out,
                                               const CogVideoXVaeSizes& sizes)
    : norm1_(weights / "norm1", in, sizes.groups, sizes.epsilon, sizes.latent_channels),
      norm2_(weights / "norm2", out, sizes.groups, sizes.epsilon, sizes.latent_channels),
      conv1_(weights / "conv1" / "conv", in, out, cube),
      conv2_(weights / "conv2" / "conv", out, out, cube) {
  if (in != out) shortcut_.emplace(weights / "conv_shortcut", in, out, pointwise);
}

at::Tensor CogVideoXResidualBlock::forward(const at::Tensor& x, const at::Tensor& latents,
                                           ConvCaches& caches) const {
  const auto h = convolve_replicated(conv1_, norm1_.silu(x, latents), caches.next());
  return convolve_replicated(conv2_, norm2_.silu(h, latents), caches.next())
      .add_(shortcut_ ? pixelwise(*shortcut_, x) : x);
}

at::Tensor CogVideoXDownsample::forward(const at::Tensor& x) const {
  auto fewer = x;
  if (temporal && x.size(0) > 1) {
    const int64_t single = x.size(0) % 2;
    const auto pairs = x.narrow(0, single, x.size(0) - single).unflatten(0, {-1, 2});
    fewer = (pairs.select(1, 0) + pairs.select(1, 1)) / 2;
    if (single == 1) fewer = at::cat({x.narrow(0, 0, 1), fewer});
  }
  const auto padded = at::constant_pad_nd(fewer, {0, 1, 0, 1}).contiguous(at::MemoryFormat::ChannelsLast);
  return convolve_2d(padded, convolution.weight, convolution.bias, /*stride=*/2, /*padding=*/{0, 0});
}

at::Tensor CogVideoXUpsample::forward(const at::Tensor& x) const {
  const auto larger = at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)});
  const auto frames = convolve_2d(larger, convolution.weight, convolution.bias, /*stride=*/1,
                                  /*padding=*/{1, 1});
  if (!temporal || x.size(0) == 1) return frames;
  const int64_t single = x.size(0) % 2;  // the convolution is one of frames: they are repeated after it
  const auto twice = frames.narrow(0, single, x.size(0) - single).repeat_interleave(2, 0);
  return single == 1 ? at::cat({frames.narrow(0, 0, 1), twice}) : twice;
}

}  // namespace t2v
