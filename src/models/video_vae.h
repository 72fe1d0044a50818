// What the pipeline and the trainer need of a video autoencoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "models/tiles.h"

namespace t2v {

// Latents and frames are float32 outside of it, whatever it computes in.

// Sizes and rules, known from the config alone. A clip has 1 + frame_step()·k frames: the first latent frame
// holds one, each of the others temporal_ratio.
struct VaeSpec {
  int64_t channels = 0;        // of a latent
  int64_t spatial_ratio = 1;   // pixels to a latent, on each axis
  int64_t temporal_ratio = 1;  // frames to a latent frame, after the first
  int64_t latent_step = 1;     // a clip's latent frames after the first are a multiple of it
  int64_t leading = 0;  // latent frames before the clip's first, which fill a patch: copies of it where a
                        // clip is encoded, dropped where one is decoded
  int64_t tile_width = 0,
          tile_height = 0;  // pixels that are decoded at once where a clip is decoded in tiles

  int64_t frame_step() const { return temporal_ratio * latent_step; }
  int64_t latent_frames(int64_t frames) const { return leading + (frames - 1) / temporal_ratio + 1; }
  int64_t frames(int64_t latent_frames) const { return (latent_frames - leading - 1) * temporal_ratio + 1; }
  // [C, T, h, w] of a clip whose width and height are multiples of spatial_ratio. Throws Error{usage} for a
  // number of frames that latent_step excludes.
  std::array<int64_t, 4> latent_shape(int64_t frames, int64_t width, int64_t height) const;
};

struct Posterior {
  at::Tensor mean, logvar;  // [C, T, h, w], not normalised; logvar clamped to [-30, 20]
};

// A clip piece by piece: memory does not grow with its length, and the result does not depend on how the clip
// is cut. In tiles the layers' memory of all tiles is kept from piece to piece. The autoencoder must outlive
// its streams.
class EncodeStream {
 public:
  virtual ~EncodeStream() = default;
  // frames float32 [3, t, H, W] in [-1, 1], t any, H and W multiples of spatial_ratio and the same in all
  // calls. Returns the latents that are complete by now; undefined tensors when none are. Throws
  // Error{usage}.
  virtual Posterior push(const at::Tensor& frames) = 0;
  // The latents that push() held back; the clip is over. Frames beyond 1 + temporal_ratio·k are dropped.
  virtual Posterior finish() = 0;
};

class DecodeStream {
 public:
  virtual ~DecodeStream() = default;
  // latents float32 [C, t, h, w], not normalised, h and w the same in all calls. Returns the frames that are
  // complete by now, [3, T, H, W] in [-1, 1]; undefined when none are.
  virtual at::Tensor push(const at::Tensor& latents) = 0;
  // The frames that push() held back; the clip is over.
  virtual at::Tensor finish() = 0;
};

// One clip, or one tile of it, on its way through an encoder or a decoder: entries [t, C, h, w] in, in the
// layout of the network, [t', C', h', w'] out.
class VaePass {
 public:
  virtual ~VaePass() = default;
  // What is complete by now; undefined when nothing is.
  virtual at::Tensor push(const at::Tensor& entries) = 0;
  virtual at::Tensor finish() = 0;
};

class VideoVae {
 public:
  virtual ~VideoVae() = default;
  const VaeSpec& spec() const { return spec_; }

  std::unique_ptr<EncodeStream> encode_stream() const;
  std::unique_ptr<DecodeStream> decode_stream() const;

  // Several clips of one size together, as a trainer has them: [B, 3, T, H, W] → [B, C, T, h, w].
  virtual Posterior encode_clips(const at::Tensor& frames) const = 0;
  // [B, C, T, h, w] → [B, 3, T, H, W], not clamped to [-1, 1]: what a loss is taken of.
  virtual at::Tensor decode_clips(const at::Tensor& latents) const = 0;

  // Between the autoencoder's latents and the sampler's. [C, T, h, w].
  virtual at::Tensor normalise(const at::Tensor& latents) const = 0;
  virtual at::Tensor denormalise(const at::Tensor& latents) const = 0;

  // A whole clip. frames: 1 + temporal_ratio·k. Throws Error{usage} otherwise. In tiles each tile goes
  // through by itself, with nothing kept of the others but what is blended.
  Posterior encode(const at::Tensor& frames) const;
  // latents not normalised. `sink` receives float32 frames [3, t, H, W] in [-1, 1], in order, a few at a
  // time. In tiles it does so when all are there, on the CPU, and `between` hears before of the share that is
  // done, so that a run can be stopped.
  void decode(const at::Tensor& latents, const std::function<void(const at::Tensor&)>& sink,
              const std::function<void(double share)>& between = {}) const;
  at::Tensor decode(const at::Tensor& latents) const;  // all frames at once: [3, T, H, W]

  // Whether clips larger than a tile are encoded and decoded in tiles. The result is another one.
  void set_tiling(bool tiling) { tiling_ = tiling; }
  bool tiling() const { return tiling_; }
  // What its weights are in, and what encode() and decode() then compute in.
  void set_dtype(at::ScalarType dtype) { dtype_ = dtype; }

  // Latent frames worked on at once, where the family leaves the choice: few enough to bound memory, many
  // enough to keep small clips quick. 0 restores that choice. The result does not depend on it.
  void set_chunk(int64_t latent_frames) { chunk_ = latent_frames; }
  int64_t chunk() const { return chunk_; }

 protected:
  explicit VideoVae(const VaeSpec& spec) : spec_(spec) {}
  VideoVae(VideoVae&&) = default;

  // latent_pixels: of each of the clip's latent frames.
  virtual std::unique_ptr<VaePass> encode_pass(int64_t latent_pixels) const = 0;
  virtual std::unique_ptr<VaePass> decode_pass(int64_t latent_pixels) const = 0;
  // Tiles of what goes into the passes.
  virtual TileGrid encode_tiles() const = 0;
  virtual TileGrid decode_tiles() const = 0;
  // Float32 frames [t, 3, H, W] ↔ what goes into an encoder and comes out of a decoder.
  virtual at::Tensor fold(const at::Tensor& frames) const { return frames; }
  virtual at::Tensor unfold(const at::Tensor& frames) const { return frames; }

 private:
  class Encoding;
  class Decoding;
  class TiledPass;
  // Throws Error{usage} for frames that are not [3, t, H, W] with H and W as spatial_ratio wants them.
  void require_frames(const at::Tensor& frames) const;
  [[noreturn]] void refuse_frames(const at::Tensor& frames) const;
  // Of an encoder's output; the clip begins with `leading` copies of its first entry.
  static Posterior posterior_of(const at::Tensor& moments, int64_t leading);
  // Frames [3, T, H, W] and latents [C, T, h, w] as they go into passes.
  at::Tensor entries_to_encode(const at::Tensor& frames) const;
  at::Tensor entries_to_decode(const at::Tensor& latents) const;
  // Of a decoder's output, as they are handed out.
  at::Tensor finished_frames(const at::Tensor& made) const;
  // None where the clip goes through in one piece.
  std::unique_ptr<TiledPass> tiles_to_encode(const at::Tensor& entries) const;
  std::unique_ptr<TiledPass> tiles_to_decode(const at::Tensor& entries) const;

  VaeSpec spec_;
  int64_t chunk_ = 0;
  bool tiling_ = false;
  at::ScalarType dtype_ = at::kFloat;
};

}  // namespace t2v
