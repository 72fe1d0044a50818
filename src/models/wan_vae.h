// Wan 2.1's causal video autoencoder: 4x in time, 8x in space; one latent frame holds one frame at the start
// of a clip and four after that. Source: Wan 2.1 technical report, section 3; diffusers
// autoencoder_kl_wan.py, AutoencoderKLWan.
//
// Inside, frames are the batch: [T, C, H, W] in channels-last layout. Every convolution over time remembers
// its last frames, so a clip can be fed in chunks of any length, and memory does not grow with its length.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/json.h"
#include "weights/weights.h"

namespace t2v {

struct WanVaeConfig {
  int64_t base_dim = 96, decoder_base_dim = 96, z_dim = 16, num_res_blocks = 2;
  std::vector<int64_t> dim_mult = {1, 2, 4, 4};
  std::vector<bool> temporal_downsample = {false, true, true};
  std::vector<double> latents_mean, latents_std;  // [z_dim]
  int64_t patch_size = 1;                         // pixels folded into channels before the first layer
  int64_t in_channels = 3, out_channels = 3;      // after folding
  int64_t spatial_ratio() const;                  // pixels to a latent, on each axis
  int64_t temporal_ratio() const;                 // frames to a latent frame, after the first
  // [z_dim, T, h, w] of a clip of 1 + temporal_ratio·k frames, whose width and height are multiples of
  // spatial_ratio.
  std::array<int64_t, 4> latent_shape(int64_t frames, int64_t width, int64_t height) const;
};

// Throws Error{bad_input} for values out of range and for variants that are not supported (Wan 2.2's residual
// autoencoder, attention in the levels).
WanVaeConfig parse_wan_vae_config(const Json& config, const std::string& where);

struct VaeStreamState;

class WanVae {
 public:
  WanVae(const WanVaeConfig& config, const WeightScope& weights);
  ~WanVae();
  WanVae(WanVae&&) noexcept;

  const WanVaeConfig& config() const { return config_; }

  struct Posterior {
    at::Tensor mean, logvar;  // [z, T, H, W], not normalised; logvar clamped to [-30, 20]
  };
  // frames float32 [3, T, H, W] in [-1, 1], T = 1 + temporal_ratio·k, H and W multiples of spatial_ratio.
  // Throws Error{usage} otherwise.
  Posterior encode(const at::Tensor& frames) const;
  // Several clips of one size together: [B, 3, T, H, W] → [B, z, T, H, W].
  Posterior encode_clips(const at::Tensor& frames) const;

  // latents float32 [z, T, H, W], not normalised. `sink` receives float32 frames [3, t, H, W] in [-1, 1], in
  // order, a few at a time.
  void decode(const at::Tensor& latents, const std::function<void(const at::Tensor&)>& sink) const;
  // All frames at once: [3, T, H, W].
  at::Tensor decode(const at::Tensor& latents) const;

  // Several clips of one size together: [B, z, T, H, W] → [B, 3, T, H, W], not clamped to [-1, 1]: what a
  // loss is taken of.
  at::Tensor decode_clips(const at::Tensor& latents) const;

  // A clip piece by piece: memory does not grow with its length, and the result is that of encode() or
  // decode() to the last bit, however the clip is cut. The autoencoder must outlive its streams.
  class EncodeStream {
   public:
    explicit EncodeStream(const WanVae& vae);
    ~EncodeStream();
    // frames float32 [3, t, H, W] in [-1, 1], t any, H and W as encode() takes them and the same in all
    // calls. Returns the latents that are complete by now, [z, T, h, w]; undefined tensors when none are.
    // Throws Error{usage}.
    Posterior push(const at::Tensor& frames);
    // The latents that push() held back; the clip is over. Frames beyond 1 + temporal_ratio·k are dropped.
    Posterior finish();

   private:
    Posterior encode(bool end);
    const WanVae& vae_;
    std::unique_ptr<VaeStreamState> state_;
    int64_t chunk_ = 1;  // frames that are encoded at once
  };
  class DecodeStream {
   public:
    explicit DecodeStream(const WanVae& vae);
    ~DecodeStream();
    // latents float32 [z, t, h, w], not normalised, h and w the same in all calls. Returns the frames that
    // are complete by now, [3, T, H, W] in [-1, 1]; undefined when none are.
    at::Tensor push(const at::Tensor& latents);
    // The frames that push() held back; the clip is over.
    at::Tensor finish();

   private:
    at::Tensor decode(bool end);
    const WanVae& vae_;
    std::unique_ptr<VaeStreamState> state_;
    int64_t chunk_ = 1;  // latent frames that are decoded at once
  };

  // Latent frames decoded at once: few enough to bound memory, many enough to keep small clips quick. 0
  // restores that choice. The result does not depend on it.
  void set_chunk(int64_t latent_frames) { chunk_ = latent_frames; }
  int64_t chunk() const { return chunk_; }

  // The sampler's space: (latents - mean) / std per channel, and back. [z, T, H, W].
  at::Tensor normalise(const at::Tensor& latents) const;
  at::Tensor denormalise(const at::Tensor& latents) const;

 private:
  struct Encoder;
  struct Decoder;
  int64_t chunk_for(int64_t latent_pixels) const;
  [[noreturn]] void refuse_frames(const at::Tensor& frames) const;

  WanVaeConfig config_;
  int64_t chunk_ = 0;
  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace t2v
