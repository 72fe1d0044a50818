#include "models/cogvideox/cogvideox_vae.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "models/cogvideox/cogvideox_vae_blocks.h"
#include "t2v/error.h"

namespace t2v {

namespace {

constexpr int64_t frames_at_once = 8, latent_frames_at_once = 2;

at::Tensor channels_last(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

// Of pixels that are encoded, and of latents that are decoded.
struct Tiles {
  TileGrid pixels, latents;
};

// overlap: the share of a tile that is blended into the next. Source: AutoencoderKLCogVideoX.__init__,
// tiled_encode, tiled_decode.
TileAxis tile_axis(int64_t length, int64_t made, double overlap) {
  const auto whole = [](double value) { return static_cast<int64_t>(value); };
  return {length, whole(static_cast<double>(length) * (1 - overlap)), made,
          made - whole(static_cast<double>(made) * overlap)};
}

// None where the tiles of a sample's size would not fall on whole latents.
std::optional<Tiles> tiles_of(const CogVideoXVaeConfig& config) {
  const auto ratio = int64_t{1} << (config.block_out_channels.size() - 1);
  Tiles tiles;
  for (const bool is_row : {true, false}) {
    const auto pixels = (is_row ? config.sample_height : config.sample_width) / 2, latents = pixels / ratio;
    const double overlap = 1.0 / (is_row ? 6 : 5);
    const auto in = tile_axis(pixels, latents, overlap), out = tile_axis(latents, pixels, overlap);
    if (out.stride < 1 || latents * ratio != pixels || in.stride != in.kept * ratio ||
        out.stride * ratio != out.kept)
      return std::nullopt;
    (is_row ? tiles.pixels.rows : tiles.pixels.columns) = in;
    (is_row ? tiles.latents.rows : tiles.latents.columns) = out;
  }
  return tiles;
}

Tiles require_tiles(const CogVideoXVaeConfig& config) {
  if (const auto tiles = tiles_of(config)) return *tiles;
  throw Error(ErrorKind::bad_input, "vae/config.json: with sample_width " +
                                        std::to_string(config.sample_width) + " and sample_height " +
                                        std::to_string(config.sample_height) +
                                        " tiles do not fall on whole latents; --vae-tiling off works");
}

[[noreturn]] void refuse_training() {
  throw Error(ErrorKind::usage,
              "CogVideoX's autoencoder cannot be trained or train others; train a model of another family");
}

}  // namespace

VaeSpec CogVideoXVaeConfig::spec() const {
  const auto tiles = tiles_of(*this);
  return {.channels = latent_channels,
          .spatial_ratio = int64_t{1} << (block_out_channels.size() - 1),
          .temporal_ratio = int64_t{1} << temporal_levels,
          .latent_step = latent_frames_at_once,
          .leading = leading,
          .tile_width = tiles ? tiles->pixels.columns.length : 0,
          .tile_height = tiles ? tiles->pixels.rows.length : 0};
}

CogVideoXVaeConfig parse_cogvideox_vae_config(const Json& config, const std::string& where) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::bad_input, where + ": " + what);
  };
  const auto expect = [&](const char* key, const auto& value) {
    if (json_get_or(config, key, value, where) != value)
      refuse(std::string("'") + key + "' " + config.at(key).dump() + " is not supported; CogVideoX has " +
             Json(value).dump());
  };
  expect("in_channels", int64_t{3});
  expect("out_channels", int64_t{3});
  expect("act_fn", std::string("silu"));
  expect("use_quant_conv", false);
  expect("use_post_quant_conv", false);
  expect("temporal_compression_ratio", 4.0);
  CogVideoXVaeConfig c;
  c.block_out_channels = json_get<std::vector<int64_t>>(config, "block_out_channels", where);
  c.latent_channels = json_size(config, "latent_channels", where, 1024);
  c.layers_per_block = json_size(config, "layers_per_block", where, 64);
  c.norm_num_groups = json_size(config, "norm_num_groups", where, 1024);
  c.norm_eps = json_get_or<double>(config, "norm_eps", 1e-6, where);
  c.scaling_factor = json_get<double>(config, "scaling_factor", where);
  for (const auto& [key, field] :
       {std::pair{"sample_width", &c.sample_width}, std::pair{"sample_height", &c.sample_height}})
    if (config.contains(key)) *field = json_size(config, key, where, 16384);
  c.invert_scale_latents = json_get_or<bool>(config, "invert_scale_latents", false, where);
  const auto levels = static_cast<int64_t>(c.block_out_channels.size());
  if (levels <= c.temporal_levels || levels > 8 ||
      std::any_of(c.block_out_channels.begin(), c.block_out_channels.end(), [&](int64_t channels) {
        return channels < 1 || channels > 8192 || channels % c.norm_num_groups != 0;
      }))
    refuse("block_out_channels should hold three to eight multiples of norm_num_groups (" +
           std::to_string(c.norm_num_groups) + "), of at most 8192");
  for (const auto& [key, type] : {std::pair{"down_block_types", "CogVideoXDownBlock3D"},
                                  std::pair{"up_block_types", "CogVideoXUpBlock3D"}})
    if (config.contains(key) && config.at(key) != Json(std::vector<std::string>(levels, type)))
      refuse(std::string(key) + " should be '" + type + "' for each of block_out_channels");
  if (!(c.scaling_factor > 0)) refuse("scaling_factor should be positive");
  return c;
}

struct CogVideoXVae::Encoder {
  struct Level {
    std::vector<CogVideoXResidualBlock> resnets;
    std::optional<CogVideoXDownsample> downsampler;
  };

  CausalConv3d conv_in, conv_out;
  std::vector<Level> down_blocks;
  std::vector<CogVideoXResidualBlock> mid_block;
  std::optional<CogVideoXNorm> norm_out;

  Encoder(const CogVideoXVaeConfig& config, const WeightScope& weights) {
    const auto& channels = config.block_out_channels;
    const CogVideoXVaeSizes sizes{config.norm_num_groups, 0, config.norm_eps};
    int64_t width = channels.front();
    conv_in = CausalConv3d(weights / "conv_in" / "conv", 3, width, {3, 3, 3});
    for (std::size_t level = 0; level < channels.size(); ++level) {
      const auto scope = weights / "down_blocks" / static_cast<int64_t>(level);
      auto& block = down_blocks.emplace_back();
      for (int64_t i = 0; i < config.layers_per_block; ++i, width = channels[level])
        block.resnets.emplace_back(scope / "resnets" / i, width, channels[level], sizes);
      if (level + 1 < channels.size())
        block.downsampler = {load_frame_conv(scope / "downsamplers" / 0 / "conv", width, width, 3),
                             static_cast<int64_t>(level) < config.temporal_levels};
    }
    for (int64_t i = 0; i < 2; ++i)
      mid_block.emplace_back(weights / "mid_block" / "resnets" / i, width, width, sizes);
    norm_out.emplace(weights / "norm_out", width, sizes.groups, 1e-6, 0);
    conv_out = CausalConv3d(weights / "conv_out" / "conv", width, 2 * config.latent_channels, {3, 3, 3});
  }

  // frames [t, 3, H, W] of one chunk → [t', 2·z, h, w]
  at::Tensor forward(at::Tensor x, ConvCaches& caches) const {
    caches.begin_chunk();
    x = convolve_replicated(conv_in, channels_last(x), caches.next());
    for (const auto& block : down_blocks) {
      for (const auto& resnet : block.resnets) x = resnet.forward(x, {}, caches);
      if (block.downsampler) x = block.downsampler->forward(x);
    }
    for (const auto& resnet : mid_block) x = resnet.forward(x, {}, caches);
    return convolve_replicated(conv_out, norm_out->silu(x, {}), caches.next());
  }
};

struct CogVideoXVae::Decoder {
  struct Level {
    std::vector<CogVideoXResidualBlock> resnets;
    std::optional<CogVideoXUpsample> upsampler;
  };

  CausalConv3d conv_in, conv_out;
  std::vector<CogVideoXResidualBlock> mid_block;
  std::vector<Level> up_blocks;
  std::optional<CogVideoXNorm> norm_out;

  Decoder(const CogVideoXVaeConfig& config, const WeightScope& weights) {
    const auto& channels = config.block_out_channels;
    const CogVideoXVaeSizes sizes{config.norm_num_groups, config.latent_channels, config.norm_eps};
    int64_t width = channels.back();
    conv_in = CausalConv3d(weights / "conv_in" / "conv", config.latent_channels, width, {3, 3, 3});
    for (int64_t i = 0; i < 2; ++i)
      mid_block.emplace_back(weights / "mid_block" / "resnets" / i, width, width, sizes);
    for (std::size_t level = 0; level < channels.size(); ++level) {
      const auto scope = weights / "up_blocks" / static_cast<int64_t>(level);
      const int64_t out = channels[channels.size() - 1 - level];
      auto& block = up_blocks.emplace_back();
      for (int64_t i = 0; i < config.layers_per_block + 1; ++i, width = out)
        block.resnets.emplace_back(scope / "resnets" / i, width, out, sizes);
      if (level + 1 < channels.size())
        block.upsampler = {load_frame_conv(scope / "upsamplers" / 0 / "conv", width, width, 3),
                           static_cast<int64_t>(level) < config.temporal_levels};
    }
    norm_out.emplace(weights / "norm_out", width, sizes.groups, 1e-6, config.latent_channels);
    conv_out = CausalConv3d(weights / "conv_out" / "conv", width, 3, {3, 3, 3});
  }

  // latents [t, z, h, w] of one chunk → [t', 3, H, W]
  at::Tensor forward(const at::Tensor& latents, ConvCaches& caches) const {
    caches.begin_chunk();
    const auto z = channels_last(latents);
    auto x = convolve_replicated(conv_in, z, caches.next());
    for (const auto& resnet : mid_block) x = resnet.forward(x, z, caches);
    for (const auto& block : up_blocks) {
      for (const auto& resnet : block.resnets) x = resnet.forward(x, z, caches);
      if (block.upsampler) x = block.upsampler->forward(x);
    }
    return convolve_replicated(conv_out, norm_out->silu(x, z), caches.next());
  }
};

CogVideoXVae::CogVideoXVae(const CogVideoXVaeConfig& config, const WeightScope& weights)
    : VideoVae(config.spec()),
      config_(config),
      encoder_(std::make_unique<Encoder>(config, weights / "encoder")),
      decoder_(std::make_unique<Decoder>(config, weights / "decoder")) {}
CogVideoXVae::~CogVideoXVae() = default;

namespace {

// What has come of a clip and was not worked on yet. Chunks are of `length` entries, the first one of one
// more: what a clip of an odd number of chunks' halves has. A clip too short for two chunks is one whole.
struct ChunkedClip {
  int64_t length = 1;
  ConvCaches caches{1};
  at::Tensor pending = {};  // [t, …]
  bool first = true;

  int64_t available() const { return pending.defined() ? pending.size(0) : 0; }
  void add(const at::Tensor& piece) { pending = pending.defined() ? at::cat({pending, piece}) : piece; }
  at::Tensor take(int64_t count) {
    const auto chunk = pending.narrow(0, 0, count);
    pending = pending.narrow(0, count, available() - count);
    first = false;
    return chunk;
  }
  // The next chunk of a clip that goes on; undefined when it is not there yet.
  at::Tensor next() {
    if (first) return available() > 2 * length ? take(length + 1) : at::Tensor();
    return available() >= length ? take(length) : at::Tensor();
  }
};

}  // namespace

class CogVideoXVae::EncodePass : public VaePass {
 public:
  explicit EncodePass(const CogVideoXVae& vae) : vae_(vae) {}

  at::Tensor push(const at::Tensor& frames) override {
    clip_.add(frames);
    std::vector<at::Tensor> parts;
    for (auto chunk = clip_.next(); chunk.defined(); chunk = clip_.next()) parts.push_back(encode(chunk));
    return parts.empty() ? at::Tensor() : at::cat(parts);
  }
  at::Tensor finish() override {
    if (!clip_.first || clip_.available() == 0) return {};
    const auto ratio = vae_.spec().temporal_ratio;
    return encode(clip_.take((clip_.available() - 1) / ratio * ratio + 1));
  }

 private:
  at::Tensor encode(const at::Tensor& chunk) { return vae_.encoder_->forward(chunk, clip_.caches); }

  const CogVideoXVae& vae_;
  ChunkedClip clip_{.length = frames_at_once};
};

class CogVideoXVae::DecodePass : public VaePass {
 public:
  explicit DecodePass(const CogVideoXVae& vae) : vae_(vae) {}

  at::Tensor push(const at::Tensor& latents) override {
    clip_.add(latents);
    std::vector<at::Tensor> parts;
    for (auto chunk = clip_.next(); chunk.defined(); chunk = clip_.next()) parts.push_back(decode(chunk));
    return parts.empty() ? at::Tensor() : at::cat(parts);
  }
  at::Tensor finish() override {
    const auto rest = clip_.available();
    if (rest == 0) return {};
    if (!clip_.first)
      throw Error(ErrorKind::usage,
                  "CogVideoX decodes an odd number of latent frames, or at most four: 8·k + 1 frames; the "
                  "clip has an even number");
    if (rest <= latent_frames_at_once + 1) return decode(clip_.take(rest));
    const auto begin = decode(clip_.take(rest - latent_frames_at_once));
    return at::cat({begin, decode(clip_.take(latent_frames_at_once))});
  }

 private:
  at::Tensor decode(const at::Tensor& chunk) { return vae_.decoder_->forward(chunk, clip_.caches); }

  const CogVideoXVae& vae_;
  ChunkedClip clip_{.length = latent_frames_at_once};
};

std::unique_ptr<VaePass> CogVideoXVae::encode_pass(int64_t) const {
  return std::make_unique<EncodePass>(*this);
}
std::unique_ptr<VaePass> CogVideoXVae::decode_pass(int64_t) const {
  return std::make_unique<DecodePass>(*this);
}

TileGrid CogVideoXVae::encode_tiles() const { return require_tiles(config_).pixels; }
TileGrid CogVideoXVae::decode_tiles() const { return require_tiles(config_).latents; }

Posterior CogVideoXVae::encode_clips(const at::Tensor&) const { refuse_training(); }
at::Tensor CogVideoXVae::decode_clips(const at::Tensor&) const { refuse_training(); }

at::Tensor CogVideoXVae::normalise(const at::Tensor& latents) const {
  return latents * (config_.invert_scale_latents ? 1 / config_.scaling_factor : config_.scaling_factor);
}
at::Tensor CogVideoXVae::denormalise(const at::Tensor& latents) const {
  return latents * (1 / config_.scaling_factor);
}

}  // namespace t2v
