// What the pipeline and the trainer need of a video autoencoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace t2v {

// Latents and frames are float32 outside of it whatever its dtype is, and what encodes is float32 inside as
// well.

// Sizes and rules, known from the config alone. A clip has 1 + frame_step()·k frames: the first latent frame
// holds one, each of the others temporal_ratio.
struct VaeSpec {
  int64_t channels = 0;        // of a latent
  int64_t spatial_ratio = 1;   // pixels to a latent, on each axis
  int64_t temporal_ratio = 1;  // frames to a latent frame, after the first
  int64_t latent_step = 1;     // a clip's latent frames after the first are a multiple of it
  int64_t leading = 0;  // latent frames before the clip's first, which fill a patch: copies of it where a
                        // clip is encoded, dropped where one is decoded

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
// is cut. The autoencoder must outlive its streams.
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

class VideoVae {
 public:
  virtual ~VideoVae() = default;
  const VaeSpec& spec() const { return spec_; }

  virtual std::unique_ptr<EncodeStream> encode_stream() const = 0;
  virtual std::unique_ptr<DecodeStream> decode_stream() const = 0;

  // Several clips of one size together, as a trainer has them: [B, 3, T, H, W] → [B, C, T, h, w].
  virtual Posterior encode_clips(const at::Tensor& frames) const = 0;
  // [B, C, T, h, w] → [B, 3, T, H, W], not clamped to [-1, 1]: what a loss is taken of.
  virtual at::Tensor decode_clips(const at::Tensor& latents) const = 0;

  // Between the autoencoder's latents and the sampler's. [C, T, h, w].
  virtual at::Tensor normalise(const at::Tensor& latents) const = 0;
  virtual at::Tensor denormalise(const at::Tensor& latents) const = 0;

  // A whole clip. frames: 1 + temporal_ratio·k. Throws Error{usage} otherwise.
  Posterior encode(const at::Tensor& frames) const;
  // latents not normalised. `sink` receives float32 frames [3, t, H, W] in [-1, 1], in order, a few at a
  // time.
  void decode(const at::Tensor& latents, const std::function<void(const at::Tensor&)>& sink) const;
  at::Tensor decode(const at::Tensor& latents) const;  // all frames at once: [3, T, H, W]

  // Latent frames worked on at once, where the family leaves the choice: few enough to bound memory, many
  // enough to keep small clips quick. 0 restores that choice. The result does not depend on it.
  void set_chunk(int64_t latent_frames) { chunk_ = latent_frames; }
  int64_t chunk() const { return chunk_; }

 protected:
  explicit VideoVae(const VaeSpec& spec) : spec_(spec) {}
  VideoVae(VideoVae&&) = default;
  // frames that are not [3, t, H, W] with H and W as spatial_ratio wants them.
  [[noreturn]] void refuse_frames(const at::Tensor& frames) const;
  // Throws Error{usage} for such.
  void require_frames(const at::Tensor& frames) const;
  // Of an encoder's output in parts [t, 2·C, h, w]; undefined tensors where there are none.
  static Posterior posterior_of(const std::vector<at::Tensor>& parts);

 private:
  VaeSpec spec_;
  int64_t chunk_ = 0;
};

}  // namespace t2v
