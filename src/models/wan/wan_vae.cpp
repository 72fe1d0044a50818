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

// What the reference's enable_tiling() begins with: pixels of a tile, and from one to the next.
constexpr int64_t tile_pixels = 256, tile_stride = 192;

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
                            << std::count(temporal_downsample.begin(), temporal_downsample.end(), true),
          .tile_width = tile_pixels,
          .tile_height = tile_pixels};
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
    x = post_quant_conv.forward(channels_last(x), none);
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
    return conv_out.forward(norm_out.silu(x), caches.next());
  }
};

WanVae::WanVae(const WanVaeConfig& config, const WeightScope& weights)
    : VideoVae(config.spec()),
      config_(config),
      encoder_(std::make_unique<Encoder>(config, weights)),
      decoder_(std::make_unique<Decoder>(config, weights)) {}
WanVae::~WanVae() = default;
WanVae::WanVae(WanVae&&) noexcept = default;

int64_t quickest_wan_chunk(int64_t latent_pixels) {
  constexpr int64_t latent_pixels_at_once = 1024;  // as measured: beyond it a chunk leaves the cache and
                                                   // gains nothing (docs/decisions.md)
  return std::max<int64_t>(1, latent_pixels_at_once / std::max<int64_t>(1, latent_pixels));
}

namespace {

// Chunk by chunk: `length` entries at once, and before them the clip's first entry by itself, as temporal
// layers treat it. The last bit of a convolution may depend on how many images it takes at once, so that
// chunks do not follow the pieces in which the clip comes.
class ChunkedPass : public VaePass {
 public:
  using Forward = std::function<at::Tensor(const at::Tensor& chunk, ConvCaches& caches, bool first_chunk)>;

  // group: what of the clip's end is worked on comes in whole groups.
  ChunkedPass(int64_t length, int64_t group, Forward forward)
      : length_(length), group_(group), forward_(std::move(forward)) {}

  at::Tensor push(const at::Tensor& entries) override {
    pending_ = pending_.defined() ? at::cat({pending_, entries}) : entries;
    return run(/*end=*/false);
  }
  at::Tensor finish() override { return run(/*end=*/true); }

 private:
  at::Tensor run(bool end) {
    std::vector<at::Tensor> parts;
    while (pending_.defined()) {
      const int64_t available = pending_.size(0);
      int64_t count = first_ ? 1 : length_;
      if (available < count) count = end ? available / group_ * group_ : 0;
      if (count == 0) break;
      parts.push_back(forward_(pending_.narrow(0, 0, count), caches_, first_));
      pending_ = pending_.narrow(0, count, available - count);
      first_ = false;
    }
    if (parts.empty()) return {};
    return parts.size() == 1 ? parts[0] : at::cat(parts);
  }

  int64_t length_, group_;
  Forward forward_;
  ConvCaches caches_{1};
  at::Tensor pending_;  // [t, …]
  bool first_ = true;
};

}  // namespace

std::unique_ptr<VaePass> WanVae::encode_pass(int64_t latent_pixels) const {
  const auto group = spec().temporal_ratio;
  return std::make_unique<ChunkedPass>(group * chunk_for(latent_pixels), group,
                                       [this](const at::Tensor& chunk, ConvCaches& caches, bool first_chunk) {
                                         return encoder_->forward(chunk, caches, first_chunk);
                                       });
}

std::unique_ptr<VaePass> WanVae::decode_pass(int64_t latent_pixels) const {
  return std::make_unique<ChunkedPass>(chunk_for(latent_pixels), 1,
                                       [this](const at::Tensor& chunk, ConvCaches& caches, bool first_chunk) {
                                         return decoder_->forward(chunk, caches, first_chunk);
                                       });
}

// The encoder's tiles are measured in folded pixels, the decoder's in those of the finished frames.
TileGrid WanVae::encode_tiles() const {
  const auto ratio = spec().spatial_ratio / config_.patch_size;
  const TileAxis axis{tile_pixels, tile_stride, tile_pixels / ratio, tile_stride / ratio};
  return {axis, axis};
}

TileGrid WanVae::decode_tiles() const {
  const auto ratio = spec().spatial_ratio, patch = config_.patch_size;
  const TileAxis axis{tile_pixels / ratio, tile_stride / ratio, tile_pixels / patch, tile_stride / patch};
  return {axis, axis};
}

at::Tensor WanVae::fold(const at::Tensor& frames) const { return fold_pixels(frames, config_.patch_size); }
at::Tensor WanVae::unfold(const at::Tensor& frames) const {
  return unfold_pixels(frames, config_.patch_size);
}

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
