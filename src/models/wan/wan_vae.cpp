#include "models/wan/wan_vae.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <variant>

#include "models/wan/wan_vae_blocks.h"
#include "t2v/error.h"

namespace t2v {

namespace {

at::Tensor channels_last(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

// frames [T, 3, H, W] ↔ [T, 3·p·p, H / p, W / p]: column offset before row offset within the channels.
// Source: patchify, unpatchify.
at::Tensor fold_pixels(const at::Tensor& x, int64_t p) {
  if (p == 1) return x;
  return x.reshape({x.size(0), x.size(1), x.size(2) / p, p, x.size(3) / p, p})
      .permute({0, 1, 5, 3, 2, 4})
      .reshape({x.size(0), x.size(1) * p * p, x.size(2) / p, x.size(3) / p});
}

at::Tensor unfold_pixels(const at::Tensor& x, int64_t p) {
  if (p == 1) return x;
  return x.reshape({x.size(0), x.size(1) / (p * p), p, p, x.size(2), x.size(3)})
      .permute({0, 1, 4, 3, 5, 2})
      .reshape({x.size(0), x.size(1) / (p * p), x.size(2) * p, x.size(3) * p});
}

at::Tensor per_channel(const std::vector<double>& values, const at::Tensor& like) {
  return at::tensor(values, at::TensorOptions(at::kFloat)).to(like.device()).view({-1, 1, 1, 1});
}

// What the levels of a residual autoencoder fold together divides into their channels, and comes back in
// whole copies.
void require_divisible(const WanVaeConfig& c, const std::function<void(const std::string&)>& refuse) {
  const auto levels = c.dim_mult.size();
  const auto check = [&](std::size_t level, int64_t in, int64_t folded) {
    if (folded % in != 0)
      refuse("dim_mult: level " + std::to_string(level) +
             " of the residual autoencoder cannot be made from " + "the one beside it, " +
             std::to_string(folded) + " is no multiple of " + std::to_string(in));
  };
  const auto factor = [&](std::size_t level) { return c.temporal_downsample[level] ? 8 : 4; };
  for (std::size_t level = 0; level < levels; ++level) {
    const auto out = c.dim_mult[level];
    check(level, out, (level == 0 ? 1 : c.dim_mult[level - 1]) * (level + 1 == levels ? 1 : factor(level)));
    if (level > 0) check(level, c.dim_mult[std::min(level + 1, levels - 1)], out * factor(level - 1));
  }
}

}  // namespace

VaeSpec WanVaeConfig::spec() const {
  return {.channels = z_dim,
          .spatial_ratio = patch_size * (int64_t{1} << (dim_mult.size() - 1)),
          .temporal_ratio = int64_t{1}
                            << std::count(temporal_downsample.begin(), temporal_downsample.end(), true)};
}

WanVaeConfig parse_wan_vae_config(const Json& config, const std::string& where) {
  if (!json_get_or<std::vector<double>>(config, "attn_scales", {}, where).empty())
    throw Error(ErrorKind::bad_input,
                where + ": 'attn_scales' should be empty; attention in the levels is not supported");
  WanVaeConfig c;
  c.is_residual = json_get_or<bool>(config, "is_residual", false, where);
  c.base_dim = json_size(config, "base_dim", where, 8192);
  c.decoder_base_dim = config.contains("decoder_base_dim") && !config.at("decoder_base_dim").is_null()
                           ? json_size(config, "decoder_base_dim", where, 8192)
                           : c.base_dim;
  c.z_dim = json_size(config, "z_dim", where, 1024);
  c.num_res_blocks = json_size(config, "num_res_blocks", where, 64);
  c.dim_mult = json_get<std::vector<int64_t>>(config, "dim_mult", where);
  c.temporal_downsample = json_get<std::vector<bool>>(config, "temperal_downsample", where);
  c.latents_mean = json_get<std::vector<double>>(config, "latents_mean", where);
  c.latents_std = json_get<std::vector<double>>(config, "latents_std", where);
  if (config.contains("patch_size") && !config.at("patch_size").is_null())
    c.patch_size = json_size(config, "patch_size", where, 16);
  c.in_channels = json_get_or<int64_t>(config, "in_channels", 3, where);
  c.out_channels = json_get_or<int64_t>(config, "out_channels", 3, where);

  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::bad_input, where + ": " + what);
  };
  if (c.dim_mult.empty() || c.dim_mult.size() > 8 ||
      std::any_of(c.dim_mult.begin(), c.dim_mult.end(), [](int64_t m) { return m < 1 || m > 64; }))
    refuse("dim_mult should hold one to eight numbers between 1 and 64");
  if (c.temporal_downsample.size() + 1 != c.dim_mult.size())
    refuse("temperal_downsample should have one entry fewer than dim_mult");
  if (c.latents_mean.size() != static_cast<std::size_t>(c.z_dim) ||
      c.latents_std.size() != static_cast<std::size_t>(c.z_dim))
    refuse("latents_mean and latents_std should have z_dim (" + std::to_string(c.z_dim) + ") numbers each");
  if (std::any_of(c.latents_std.begin(), c.latents_std.end(), [](double s) { return !(s > 0); }))
    refuse("latents_std should be positive");
  const int64_t folded = 3 * c.patch_size * c.patch_size;
  if (c.in_channels != folded || c.out_channels != folded)
    refuse("in_channels and out_channels should be 3·patch_size² = " + std::to_string(folded) + ", found " +
           std::to_string(c.in_channels) + " and " + std::to_string(c.out_channels));
  const auto declared = [&](const char* key, int64_t actual) {
    if (json_get_or<int64_t>(config, key, actual, where) != actual)
      refuse(std::string("'") + key + "' is " + config.at(key).dump() + ", but the layers make " +
             std::to_string(actual));
  };
  declared("scale_factor_spatial", c.spec().spatial_ratio);
  declared("scale_factor_temporal", c.spec().temporal_ratio);
  if (c.is_residual) require_divisible(c, refuse);
  return c;
}

struct WanVae::Encoder {
  using Layer = std::variant<VaeResidualBlock, VaeDownsample, VaeResidualDown>;

  CausalConv3d conv_in;
  std::vector<Layer> down_blocks;
  std::optional<VaeMidBlock> mid_block;
  ChannelNorm norm_out;
  CausalConv3d conv_out, quant_conv;

  Encoder(const WanVaeConfig& config, const WeightScope& root) {
    const auto weights = root / "encoder";
    int64_t width = config.base_dim;
    conv_in = CausalConv3d(weights / "conv_in", config.in_channels, width, {3, 3, 3});
    int64_t index = 0;
    for (std::size_t level = 0; level < config.dim_mult.size(); ++level) {
      const int64_t out = config.base_dim * config.dim_mult[level];
      const bool is_last = level + 1 == config.dim_mult.size();
      if (config.is_residual) {
        const VaeFactors factors{!is_last && config.temporal_downsample[level] ? 2 : 1, is_last ? 1 : 2};
        down_blocks.emplace_back(
            VaeResidualDown(weights / "down_blocks" / index++, width, out, config.num_res_blocks, factors));
        width = out;
        continue;
      }
      for (int64_t i = 0; i < config.num_res_blocks; ++i, width = out)
        down_blocks.emplace_back(VaeResidualBlock(weights / "down_blocks" / index++, width, out));
      if (!is_last)
        down_blocks.emplace_back(
            VaeDownsample(weights / "down_blocks" / index++, out, config.temporal_downsample[level]));
    }
    mid_block.emplace(weights / "mid_block", width);
    norm_out = load_channel_norm(weights / "norm_out", width, 3);
    conv_out = CausalConv3d(weights / "conv_out", width, 2 * config.z_dim, {3, 3, 3});
    quant_conv = CausalConv3d(root / "quant_conv", 2 * config.z_dim, 2 * config.z_dim, {1, 1, 1});
  }

  // frames [t, 3·p·p, H, W] of one chunk → [t', 2·z, h, w]
  at::Tensor forward(at::Tensor x, ConvCaches& caches, bool first_chunk) const {
    caches.begin_chunk();
    x = conv_in.forward(channels_last(x), caches.next());
    for (const auto& layer : down_blocks) {
      if (const auto* residual = std::get_if<VaeResidualBlock>(&layer)) x = residual->forward(x, caches);
      if (const auto* down = std::get_if<VaeDownsample>(&layer)) x = down->forward(x, caches, first_chunk);
      if (const auto* down = std::get_if<VaeResidualDown>(&layer)) x = down->forward(x, caches, first_chunk);
    }
    x = mid_block->forward(x, caches);
    x = conv_out.forward(norm_out.silu(x), caches.next());
    ConvCache none;
    return quant_conv.forward(x, none);
  }
};

struct WanVae::Decoder {
  struct Level {
    std::vector<VaeResidualBlock> resnets;
    std::optional<VaeUpsample> upsampler;
  };

  CausalConv3d post_quant_conv, conv_in;
  std::optional<VaeMidBlock> mid_block;
  std::vector<std::variant<Level, VaeResidualUp>> up_blocks;
  ChannelNorm norm_out;
  CausalConv3d conv_out;

  Decoder(const WanVaeConfig& config, const WeightScope& root) {
    const auto weights = root / "decoder";
    const auto levels = config.dim_mult.size();
    int64_t width = config.decoder_base_dim * config.dim_mult.back();
    post_quant_conv = CausalConv3d(root / "post_quant_conv", config.z_dim, config.z_dim, {1, 1, 1});
    conv_in = CausalConv3d(weights / "conv_in", config.z_dim, width, {3, 3, 3});
    mid_block.emplace(weights / "mid_block", width);
    for (std::size_t level = 0; level < levels; ++level) {
      const auto scope = weights / "up_blocks" / static_cast<int64_t>(level);
      const int64_t out = config.decoder_base_dim * config.dim_mult[levels - 1 - level];
      const bool is_last = level + 1 == levels;
      const bool is_temporal = !is_last && config.temporal_downsample[levels - 2 - level];
      if (config.is_residual) {
        up_blocks.emplace_back(VaeResidualUp(scope, width, out, config.num_res_blocks + 1,
                                             {is_temporal ? 2 : 1, is_last ? 1 : 2}));
        width = out;
        continue;
      }
      Level block;
      for (int64_t i = 0; i < config.num_res_blocks + 1; ++i, width = out)
        block.resnets.emplace_back(scope / "resnets" / i, width, out);
      if (!is_last) {
        block.upsampler.emplace(scope / "upsamplers" / 0, out, out / 2, is_temporal);
        width = out / 2;  // an upsampler halves the channels
      }
      up_blocks.emplace_back(std::move(block));
    }
    norm_out = load_channel_norm(weights / "norm_out", width, 3);
    conv_out = CausalConv3d(weights / "conv_out", width, config.out_channels, {3, 3, 3});
  }

  // latents [t, z, h, w] of one chunk → [t', 3·p·p, H, W]
  at::Tensor forward(at::Tensor x, ConvCaches& caches, bool first_chunk) const {
    caches.begin_chunk();
    ConvCache none;
    x = post_quant_conv.forward(channels_last(x.to(conv_in.dtype())), none);
    x = mid_block->forward(conv_in.forward(x, caches.next()), caches);
    for (const auto& block : up_blocks) {
      if (const auto* residual = std::get_if<VaeResidualUp>(&block)) {
        x = residual->forward(x, caches, first_chunk);
        continue;
      }
      const auto& level = std::get<Level>(block);
      for (const auto& resnet : level.resnets) x = resnet.forward(x, caches);
      if (level.upsampler) x = level.upsampler->forward(x, caches, first_chunk);
    }
    return conv_out.forward(norm_out.silu(x), caches.next()).to(at::kFloat);
  }
};

WanVae::WanVae(const WanVaeConfig& config, const WeightScope& weights)
    : VideoVae(config.spec()),
      config_(config),
      encoder_(std::make_unique<Encoder>(config, weights.exact())),
      decoder_(std::make_unique<Decoder>(config, weights)) {}
WanVae::~WanVae() = default;
WanVae::WanVae(WanVae&&) noexcept = default;

int64_t quickest_wan_chunk(int64_t latent_pixels) {
  constexpr int64_t latent_pixels_at_once = 1024;  // as measured: beyond it a chunk leaves the cache and
                                                   // gains nothing (docs/decisions.md)
  return std::max<int64_t>(1, latent_pixels_at_once / std::max<int64_t>(1, latent_pixels));
}

namespace {

// What has come of a clip and was not worked on yet, and what the layers remember of the rest. The last bit
// of a convolution may depend on how many images it takes at once, so that chunks do not follow the pieces in
// which the clip comes.
struct StreamState {
  ConvCaches caches{1};
  at::Tensor pending;  // [t, ...]
  bool first = true;   // the clip's first entry, which temporal layers treat by itself, is a chunk

  void add(const at::Tensor& piece) { pending = pending.defined() ? at::cat({pending, piece}) : piece; }

  // work(chunk) for every chunk of `length` entries that is there; at the end of the clip also for a shorter
  // one, of whole groups.
  template <class Work>
  void each_chunk(int64_t length, int64_t group, bool end, const Work& work) {
    while (pending.defined()) {
      const int64_t available = pending.size(0);
      int64_t count = first ? 1 : length;
      if (available < count) count = end ? available / group * group : 0;
      if (count == 0) return;
      work(pending.narrow(0, 0, count));
      pending = pending.narrow(0, count, available - count);
      first = false;
    }
  }
};

}  // namespace

class WanVae::Encoding : public EncodeStream {
 public:
  explicit Encoding(const WanVae& vae) : vae_(vae) {}

  Posterior push(const at::Tensor& frames) override {
    vae_.require_frames(frames);
    const auto ratio = vae_.spec().spatial_ratio;
    chunk_ = vae_.spec().temporal_ratio * vae_.chunk_for(frames.size(2) / ratio * (frames.size(3) / ratio));
    state_.add(fold_pixels(frames.transpose(0, 1), vae_.config_.patch_size));  // [t, 3·p·p, H / p, W / p]
    return encode(/*end=*/false);
  }
  Posterior finish() override { return encode(/*end=*/true); }

 private:
  Posterior encode(bool end) {
    std::vector<at::Tensor> parts;
    state_.each_chunk(chunk_, vae_.spec().temporal_ratio, end, [&](const at::Tensor& chunk) {
      parts.push_back(vae_.encoder_->forward(chunk, state_.caches, state_.first));
    });
    return posterior_of(parts);
  }

  const WanVae& vae_;
  StreamState state_;
  int64_t chunk_ = 1;  // frames that are encoded at once
};

class WanVae::Decoding : public DecodeStream {
 public:
  explicit Decoding(const WanVae& vae) : vae_(vae) {}

  at::Tensor push(const at::Tensor& latents) override {
    chunk_ = vae_.chunk_for(latents.size(2) * latents.size(3));
    state_.add(latents.transpose(0, 1));  // [t, z, h, w]
    return decode(/*end=*/false);
  }
  at::Tensor finish() override { return decode(/*end=*/true); }

 private:
  at::Tensor decode(bool end) {
    std::vector<at::Tensor> parts;
    state_.each_chunk(chunk_, 1, end, [&](const at::Tensor& chunk) {
      const auto frames = vae_.decoder_->forward(chunk, state_.caches, state_.first);
      parts.push_back(unfold_pixels(frames, vae_.config_.patch_size).clamp(-1.0, 1.0).transpose(0, 1));
    });
    if (parts.empty()) return {};
    return parts.size() == 1 ? parts[0] : at::cat(parts, 1);
  }

  const WanVae& vae_;
  StreamState state_;
  int64_t chunk_ = 1;  // latent frames that are decoded at once
};

std::unique_ptr<EncodeStream> WanVae::encode_stream() const { return std::make_unique<Encoding>(*this); }
std::unique_ptr<DecodeStream> WanVae::decode_stream() const { return std::make_unique<Decoding>(*this); }

Posterior WanVae::encode_clips(const at::Tensor& frames) const {
  const auto clips = frames.size(0);
  const auto pixels = fold_pixels(frames.permute({2, 0, 1, 3, 4}).flatten(0, 1),
                                  config_.patch_size);  // [T·B, 3·p·p, H / p, W / p]
  ConvCaches caches(clips);
  std::vector<at::Tensor> parts{encoder_->forward(pixels.narrow(0, 0, clips), caches, true)};
  if (pixels.size(0) > clips)
    parts.push_back(encoder_->forward(pixels.narrow(0, clips, pixels.size(0) - clips), caches, false));
  const auto moments = at::cat(parts)
                           .unflatten(0, {-1, clips})
                           .permute({1, 2, 0, 3, 4})
                           .contiguous()
                           .chunk(2, 1);  // [B, z, T, H, W] x 2
  return {moments[0], moments[1].clamp(-30.0, 20.0)};
}

at::Tensor WanVae::decode_clips(const at::Tensor& latents) const {
  const auto clips = latents.size(0);
  const auto z = latents.permute({2, 0, 1, 3, 4}).flatten(0, 1);  // [T·B, z, h, w]
  ConvCaches caches(clips);
  std::vector<at::Tensor> parts{decoder_->forward(z.narrow(0, 0, clips), caches, true)};
  if (z.size(0) > clips)
    parts.push_back(decoder_->forward(z.narrow(0, clips, z.size(0) - clips), caches, false));
  return unfold_pixels(at::cat(parts), config_.patch_size)
      .unflatten(0, {-1, clips})
      .permute({1, 2, 0, 3, 4});  // [B, 3, T, H, W]
}

at::Tensor WanVae::normalise(const at::Tensor& latents) const {
  return (latents - per_channel(config_.latents_mean, latents)) / per_channel(config_.latents_std, latents);
}
at::Tensor WanVae::denormalise(const at::Tensor& latents) const {
  return latents * per_channel(config_.latents_std, latents) + per_channel(config_.latents_mean, latents);
}

}  // namespace t2v
