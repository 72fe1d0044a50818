#include "models/video_vae.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <vector>

#include "t2v/error.h"

namespace t2v {

namespace {

at::Tensor joined(const at::Tensor& begin, const at::Tensor& rest, int64_t dim) {
  return !begin.defined() ? rest : !rest.defined() ? begin : at::cat({begin, rest}, dim);
}

// What tiles are blended and frames are handed out in.
at::Tensor in_float32(const at::Tensor& x) { return x.defined() ? x.to(at::kFloat) : x; }

using MakePass = std::function<std::unique_ptr<VaePass>()>;

}  // namespace

std::array<int64_t, 4> VaeSpec::latent_shape(int64_t frames, int64_t width, int64_t height) const {
  if ((frames - 1) / temporal_ratio % latent_step != 0)
    throw Error(ErrorKind::usage, "the model makes clips of 1 + " + std::to_string(frame_step()) +
                                      "·k frames, found " + std::to_string(frames));
  return {channels, latent_frames(frames), height / spatial_ratio, width / spatial_ratio};
}

void VideoVae::refuse_frames(const at::Tensor& frames) const {
  const auto shape = frames.sizes().vec();
  throw Error(ErrorKind::usage,
              "the autoencoder takes 1 + " + std::to_string(spec_.temporal_ratio) +
                  "·k frames whose width and height are multiples of " + std::to_string(spec_.spatial_ratio) +
                  ", found " +
                  (shape.size() == 4 ? std::to_string(shape[1]) + " of " + std::to_string(shape[3]) + "x" +
                                           std::to_string(shape[2])
                                     : std::to_string(shape.size()) + " dimensions"));
}

void VideoVae::require_frames(const at::Tensor& frames) const {
  const auto ratio = spec_.spatial_ratio;
  if (frames.dim() != 4 || frames.size(0) != 3 || frames.size(2) % ratio != 0 || frames.size(3) % ratio != 0)
    refuse_frames(frames);
}

Posterior VideoVae::posterior_of(const at::Tensor& moments, int64_t leading) {
  if (!moments.defined()) return {};
  std::vector<at::Tensor> parts(static_cast<std::size_t>(leading), moments.narrow(0, 0, 1));
  parts.push_back(moments);
  const auto halves = at::cat(parts).to(at::kFloat).transpose(0, 1).contiguous().chunk(2);  // [C, T, h, w] x
                                                                                            // 2
  return {halves[0], halves[1].clamp(-30.0, 20.0)};
}

// Every tile has a pass of its own.
class VideoVae::TiledPass : public VaePass {
 public:
  TiledPass(const TileGrid& grid, MakePass make) : grid_(grid), make_(std::move(make)) {}

  at::Tensor push(const at::Tensor& entries) override {
    height_ = entries.size(2);
    width_ = entries.size(3);
    while (static_cast<int64_t>(passes_.size()) < grid_.count(height_, width_)) passes_.push_back(make_());
    return join_tiles(grid_, height_, width_, [&](int64_t index, const TileArea& area) {
      return in_float32(pass(index).push(area.of(entries)));
    });
  }
  at::Tensor finish() override {
    return join_tiles(grid_, height_, width_,
                      [&](int64_t index, const TileArea&) { return in_float32(pass(index).finish()); });
  }

  // All of a clip, tile by tile: what the layers remember goes with each.
  at::Tensor whole(const at::Tensor& entries, const std::function<void(double)>& between) const {
    const auto height = entries.size(2), width = entries.size(3), length = entries.size(0);
    const auto pushes = static_cast<double>(grid_.count(height, width) * length);
    return join_tiles(grid_, height, width, [&](int64_t index, const TileArea& area) {
      const auto pass = make_();
      const auto tile = area.of(entries);
      std::vector<at::Tensor> parts;
      const auto keep = [&](const at::Tensor& part) {
        if (part.defined()) parts.push_back(in_float32(part.is_cuda() ? part.cpu() : part));
      };
      for (int64_t entry = 0; entry < length; ++entry) {
        keep(pass->push(tile.narrow(0, entry, 1)));
        if (between) between(static_cast<double>(index * length + entry + 1) / pushes);
      }
      keep(pass->finish());
      return at::cat(parts);
    });
  }

 private:
  VaePass& pass(int64_t index) { return *passes_[static_cast<std::size_t>(index)]; }

  TileGrid grid_;
  MakePass make_;
  int64_t height_ = 0, width_ = 0;
  std::vector<std::unique_ptr<VaePass>> passes_;
};

class VideoVae::Encoding : public EncodeStream {
 public:
  explicit Encoding(const VideoVae& vae) : vae_(vae) {}

  Posterior push(const at::Tensor& frames) override {
    vae_.require_frames(frames);
    const auto ratio = vae_.spec().spatial_ratio;
    const auto entries = vae_.entries_to_encode(frames);
    if (!pass_) pass_ = vae_.tiles_to_encode(entries);
    if (!pass_) pass_ = vae_.encode_pass(frames.size(2) / ratio * (frames.size(3) / ratio));
    return posterior(pass_->push(entries));
  }
  Posterior finish() override { return pass_ ? posterior(pass_->finish()) : Posterior(); }

 private:
  Posterior posterior(const at::Tensor& moments) {
    const auto found = posterior_of(moments, leading_);
    if (moments.defined()) leading_ = 0;
    return found;
  }

  const VideoVae& vae_;
  std::unique_ptr<VaePass> pass_;
  int64_t leading_ = vae_.spec().leading;
};

class VideoVae::Decoding : public DecodeStream {
 public:
  explicit Decoding(const VideoVae& vae) : vae_(vae) {}

  at::Tensor push(const at::Tensor& latents) override {
    const auto dropped = std::min(leading_, latents.size(1));
    leading_ -= dropped;
    if (latents.size(1) == dropped) return {};
    const auto entries = vae_.entries_to_decode(latents.slice(1, dropped));
    if (!pass_) pass_ = vae_.tiles_to_decode(entries);
    if (!pass_) pass_ = vae_.decode_pass(latents.size(2) * latents.size(3));
    return vae_.finished_frames(pass_->push(entries));
  }
  at::Tensor finish() override { return pass_ ? vae_.finished_frames(pass_->finish()) : at::Tensor(); }

 private:
  const VideoVae& vae_;
  std::unique_ptr<VaePass> pass_;
  int64_t leading_ = vae_.spec().leading;
};

std::unique_ptr<EncodeStream> VideoVae::encode_stream() const { return std::make_unique<Encoding>(*this); }
std::unique_ptr<DecodeStream> VideoVae::decode_stream() const { return std::make_unique<Decoding>(*this); }

std::unique_ptr<VideoVae::TiledPass> VideoVae::tiles_to_encode(const at::Tensor& entries) const {
  if (!tiling_) return nullptr;
  const auto grid = encode_tiles();
  const auto latents = [](int64_t size, const TileAxis& axis) { return size * axis.kept / axis.stride; };
  const auto height = entries.size(2), width = entries.size(3);
  // What is encoded whole is what is decoded whole, though folded pixels make larger tiles.
  if (latents(height, grid.rows) * spec_.spatial_ratio <= spec_.tile_height &&
      latents(width, grid.columns) * spec_.spatial_ratio <= spec_.tile_width)
    return nullptr;
  const auto pixels = latents(std::min(grid.rows.length, height), grid.rows) *
                      latents(std::min(grid.columns.length, width), grid.columns);
  return std::make_unique<TiledPass>(grid, [this, pixels] { return encode_pass(pixels); });
}

std::unique_ptr<VideoVae::TiledPass> VideoVae::tiles_to_decode(const at::Tensor& entries) const {
  if (!tiling_) return nullptr;
  const auto grid = decode_tiles();
  if (grid.is_whole(entries.size(2), entries.size(3))) return nullptr;
  const auto pixels = std::min(grid.rows.length, entries.size(2)) *
                      std::min(grid.columns.length, entries.size(3));
  return std::make_unique<TiledPass>(grid, [this, pixels] { return decode_pass(pixels); });
}

at::Tensor VideoVae::finished_frames(const at::Tensor& made) const {
  return made.defined() ? unfold(made.to(at::kFloat)).clamp(-1.0, 1.0).transpose(0, 1) : made;
}

at::Tensor VideoVae::entries_to_encode(const at::Tensor& frames) const {
  return fold(frames.transpose(0, 1)).to(dtype_);
}

at::Tensor VideoVae::entries_to_decode(const at::Tensor& latents) const {
  return latents.transpose(0, 1).to(dtype_);
}

Posterior VideoVae::encode(const at::Tensor& frames) const {
  if (frames.dim() != 4 || frames.size(1) < 1 || (frames.size(1) - 1) % spec_.temporal_ratio != 0)
    refuse_frames(frames);
  require_frames(frames);
  const auto entries = entries_to_encode(frames);
  if (const auto tiles = tiles_to_encode(entries)) {
    const auto [mean, logvar] = posterior_of(tiles->whole(entries, {}), spec_.leading);
    return {mean.to(frames.device()), logvar.to(frames.device())};
  }
  const auto stream = encode_stream();
  const auto begin = stream->push(frames), rest = stream->finish();
  return {joined(begin.mean, rest.mean, 1), joined(begin.logvar, rest.logvar, 1)};
}

void VideoVae::decode(const at::Tensor& latents, const std::function<void(const at::Tensor&)>& sink,
                      const std::function<void(double)>& between) const {
  const auto entries = entries_to_decode(latents.slice(1, spec_.leading));
  if (const auto tiles = tiles_to_decode(entries)) {
    const auto made = tiles->whole(entries, between);
    for (const auto& part : made.split(spec_.temporal_ratio)) sink(finished_frames(part));
    return;
  }
  const auto stream = decode_stream();
  // Frame by frame: the stream puts together what it works on at once.
  for (int64_t frame = 0; frame < latents.size(1); ++frame)
    if (const auto frames = stream->push(latents.narrow(1, frame, 1)); frames.defined()) sink(frames);
  if (const auto frames = stream->finish(); frames.defined()) sink(frames);
}

at::Tensor VideoVae::decode(const at::Tensor& latents) const {
  std::vector<at::Tensor> parts;
  decode(latents, [&](const at::Tensor& frames) { parts.push_back(frames); });
  return at::cat(parts, 1);
}

}  // namespace t2v
