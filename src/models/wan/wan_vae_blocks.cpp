#include "models/wan/wan_vae_blocks.h"

#include <ATen/ATen.h>

#include <cmath>

#include "nn/ops.h"

namespace t2v {

VaeResidualBlock::VaeResidualBlock(const WeightScope& weights, int64_t in, int64_t out)
    : norm1_(load_channel_norm(weights / "norm1", in, 3)),
      norm2_(load_channel_norm(weights / "norm2", out, 3)),
      conv1_(weights / "conv1", in, out, {3, 3, 3}),
      conv2_(weights / "conv2", out, out, {3, 3, 3}) {
  if (in != out) shortcut_.emplace(weights / "conv_shortcut", in, out, std::array<int64_t, 3>{1, 1, 1});
}

at::Tensor VaeResidualBlock::forward(const at::Tensor& x, ConvCaches& caches) const {
  ConvCache none;
  const auto residual = shortcut_ ? shortcut_->forward(x, none) : x;
  const auto h = conv1_.forward(norm1_.silu(x), caches.next());
  return conv2_.forward(norm2_.silu(h), caches.next()).add_(residual);
}

VaeAttentionBlock::VaeAttentionBlock(const WeightScope& weights, int64_t channels)
    : norm_(load_channel_norm(weights / "norm", channels, 2)),
      qkv_weight_((weights / "to_qkv").take("weight", {3 * channels, channels, 1, 1}).flatten(1)),
      qkv_bias_((weights / "to_qkv").take("bias", {3 * channels})),
      proj_weight_((weights / "proj").take("weight", {channels, channels, 1, 1}).flatten(1)),
      proj_bias_((weights / "proj").take("bias", {channels})) {}

at::Tensor VaeAttentionBlock::forward(const at::Tensor& x) const {
  const auto pixels = norm_(x).permute({0, 2, 3, 1}).flatten(1, 2);  // [T, H·W, C], a view in channels-last
                                                                     // layout
  const auto qkv = at::linear(pixels, qkv_weight_, qkv_bias_).unsqueeze(1).chunk(3, -1);  // [T, 1, H·W, C] x
                                                                                          // 3
  const auto attended = attend(qkv[0], qkv[1], qkv[2]).squeeze(1);
  const auto out = at::linear(attended, proj_weight_, proj_bias_);  // [T, H·W, C]
  return out.view({x.size(0), x.size(2), x.size(3), x.size(1)}).permute({0, 3, 1, 2}).add(x);
}

VaeMidBlock::VaeMidBlock(const WeightScope& weights, int64_t channels)
    : first_(weights / "resnets" / 0, channels, channels),
      attention_(weights / "attentions" / 0, channels),
      second_(weights / "resnets" / 1, channels, channels) {}

at::Tensor VaeMidBlock::forward(const at::Tensor& x, ConvCaches& caches) const {
  return second_.forward(attention_.forward(first_.forward(x, caches)), caches);
}

VaeUpsample::VaeUpsample(const WeightScope& weights, int64_t channels, int64_t out, bool temporal)
    : conv_(load_frame_conv(weights / "resample" / 1, channels, out, 3)) {
  if (temporal)
    time_conv_.emplace(weights / "time_conv", channels, 2 * channels, std::array<int64_t, 3>{3, 1, 1});
}

at::Tensor VaeUpsample::forward(at::Tensor x, ConvCaches& caches, bool first_chunk) const {
  if (time_conv_) {
    auto& cache = caches.next();
    if (!first_chunk) {  // the first frame is neither doubled nor remembered: the convolution's past begins
                         // with zeros after it
      const int64_t clips = cache.clips;
      const int64_t t = x.size(0) / clips;
      const int64_t channels = x.size(1);
      x = time_conv_
              ->forward(x, cache)  // [t·clips, 2·C, H, W]: the earlier frame's channels, then the later one's
              .view({t, clips, 2, channels, x.size(2), x.size(3)})
              .permute({0, 2, 1, 4, 5, 3})
              .reshape({2 * t * clips, x.size(2), x.size(3), channels})
              .permute({0, 3, 1, 2});  // [2·t·clips, C, H, W], channels last
    }
  }
  const auto larger = at::_upsample_nearest_exact2d(x, {2 * x.size(2), 2 * x.size(3)});
  return convolve_2d(larger, conv_.weight, conv_.bias, /*stride=*/1, /*padding=*/{1, 1});
}

VaeDownsample::VaeDownsample(const WeightScope& weights, int64_t channels, bool temporal)
    : conv_(load_frame_conv(weights / "resample" / 1, channels, channels, 3)) {
  if (temporal)
    time_conv_.emplace(weights / "time_conv", channels, channels, std::array<int64_t, 3>{3, 1, 1});
}

at::Tensor VaeDownsample::forward(at::Tensor x, ConvCaches& caches, bool first_chunk) const {
  const auto padded = at::constant_pad_nd(x, {0, 1, 0, 1})
                          .contiguous(at::MemoryFormat::ChannelsLast);  // one more column and row, right and
                                                                        // below
  x = convolve_2d(padded, conv_.weight, conv_.bias, /*stride=*/2, /*padding=*/{0, 0});
  if (!time_conv_) return x;
  auto& cache = caches.next();  // the last frame
  const auto last = x.narrow(0, x.size(0) - cache.clips, cache.clips).clone();
  if (!first_chunk) x = time_conv_->forward_strided(at::cat({cache.frames, x}), cache.clips);
  cache.frames = last;
  return x;
}

namespace {

// x [T·clips, C, H, W] → [T / time·clips, out, H / space, W / space]: what falls onto a pixel, channel
// slowest, in groups of equal length, one for each channel. A number of frames that `time` does not divide
// begins with zeros.
at::Tensor group_means(const at::Tensor& x, int64_t clips, int64_t out, VaeFactors factors) {
  const auto [time, space] = factors;
  const auto missing = (time - x.size(0) / clips % time) % time;
  const auto frames = missing == 0 ? x : at::constant_pad_nd(x, {0, 0, 0, 0, 0, 0, missing * clips, 0});
  const auto groups = frames.size(0) / clips / time, channels = x.size(1);
  const auto height = x.size(2) / space, width = x.size(3) / space;
  return frames.reshape({groups, time, clips, channels, height, space, width, space})
      .permute({0, 2, 3, 1, 5, 7, 4, 6})  // [T', clips, C, time, space, space, H', W']
      .reshape({groups * clips, out, -1, height, width})
      .mean(2);
}

// x [T·clips, C, H, W] → [T·time·clips, out, H·space, W·space]: each channel in as many copies as it takes.
// The clip's first latent frame stays one frame: the last of its copies.
at::Tensor copies(const at::Tensor& x, int64_t clips, int64_t out, VaeFactors factors, bool first_chunk) {
  const auto [time, space] = factors;
  const auto frames = x.size(0) / clips, height = x.size(2), width = x.size(3);
  const auto spread = x.repeat_interleave(out * time * space * space / x.size(1), 1)
                          .reshape({frames, clips, out, time, space, space, height, width})
                          .permute({0, 3, 1, 2, 6, 4, 7, 5})  // [T, time, clips, out, H, space, W, space]
                          .reshape({frames * time * clips, out, height * space, width * space});
  return first_chunk ? spread.slice(0, (time - 1) * clips) : spread;
}

std::vector<VaeResidualBlock> load_resnets(const WeightScope& weights, int64_t in, int64_t out,
                                           int64_t count) {
  std::vector<VaeResidualBlock> resnets;
  for (int64_t i = 0; i < count; ++i) resnets.emplace_back(weights / "resnets" / i, i == 0 ? in : out, out);
  return resnets;
}

}  // namespace

VaeResidualDown::VaeResidualDown(const WeightScope& weights, int64_t in, int64_t out, int64_t resnets,
                                 VaeFactors factors)
    : out_(out), factors_(factors), resnets_(load_resnets(weights, in, out, resnets)) {
  if (factors.space > 1) downsampler_.emplace(weights / "downsampler", out, factors.time > 1);
}

at::Tensor VaeResidualDown::forward(const at::Tensor& x, ConvCaches& caches, bool first_chunk) const {
  auto h = x;
  for (const auto& resnet : resnets_) h = resnet.forward(h, caches);
  if (downsampler_) h = downsampler_->forward(h, caches, first_chunk);
  return h + group_means(x, caches.clips(), out_, factors_);
}

VaeResidualUp::VaeResidualUp(const WeightScope& weights, int64_t in, int64_t out, int64_t resnets,
                             VaeFactors factors)
    : out_(out), factors_(factors), resnets_(load_resnets(weights, in, out, resnets)) {
  if (factors.space > 1) upsampler_.emplace(weights / "upsampler", out, out, factors.time > 1);
}

at::Tensor VaeResidualUp::forward(const at::Tensor& x, ConvCaches& caches, bool first_chunk) const {
  auto h = x;
  for (const auto& resnet : resnets_) h = resnet.forward(h, caches);
  if (!upsampler_) return h;
  return upsampler_->forward(h, caches, first_chunk) + copies(x, caches.clips(), out_, factors_, first_chunk);
}

}  // namespace t2v
