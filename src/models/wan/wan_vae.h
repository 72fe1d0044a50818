// Wan's causal video autoencoders: 4x in time, 8x (2.1) or 16x (2.2) in space; one latent frame holds one
// frame at the start of a clip and four after that. Source: Wan 2.1 technical report, section 3; diffusers
// autoencoder_kl_wan.py, AutoencoderKLWan.
//
// Inside, frames are the batch: [T, C, H, W] in channels-last layout. Every convolution over time remembers
// its last frames, so a clip can be fed in chunks of any length, and memory does not grow with its length.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/json.h"
#include "models/video_vae.h"
#include "weights/weights.h"

namespace t2v {

struct WanVaeConfig {
  int64_t base_dim = 96, decoder_base_dim = 96, z_dim = 16, num_res_blocks = 2;
  std::vector<int64_t> dim_mult = {1, 2, 4, 4};
  std::vector<bool> temporal_downsample = {false, true, true};
  std::vector<double> latents_mean, latents_std;  // [z_dim]
  int64_t patch_size = 1;                         // pixels folded into channels before the first layer
  int64_t in_channels = 3, out_channels = 3;      // after folding
  bool is_residual = false;                       // Wan 2.2's levels, with means and copies beside them
  VaeSpec spec() const;
};

// Throws Error{bad_input} for values out of range and for variants that are not supported (attention in the
// levels).
WanVaeConfig parse_wan_vae_config(const Json& config, const std::string& where);

// Latent frames that are worked on at once where nobody says otherwise.
int64_t quickest_wan_chunk(int64_t latent_pixels);

class WanVae : public VideoVae {
 public:
  WanVae(const WanVaeConfig& config, const WeightScope& weights);
  ~WanVae() override;
  WanVae(WanVae&&) noexcept;

  const WanVaeConfig& config() const { return config_; }

  Posterior encode_clips(const at::Tensor& frames) const override;
  at::Tensor decode_clips(const at::Tensor& latents) const override;

  // (latents - mean) / std per channel, and back.
  at::Tensor normalise(const at::Tensor& latents) const override;
  at::Tensor denormalise(const at::Tensor& latents) const override;

 protected:
  // The result is that of one pass to the last bit, however the clip is cut.
  std::unique_ptr<VaePass> encode_pass(int64_t latent_pixels) const override;
  std::unique_ptr<VaePass> decode_pass(int64_t latent_pixels) const override;
  TileGrid encode_tiles() const override;
  TileGrid decode_tiles() const override;
  at::Tensor fold(const at::Tensor& frames) const override;
  at::Tensor unfold(const at::Tensor& frames) const override;

 private:
  struct Encoder;
  struct Decoder;
  int64_t chunk_for(int64_t latent_pixels) const {
    return chunk() > 0 ? chunk() : quickest_wan_chunk(latent_pixels);
  }

  WanVaeConfig config_;
  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace t2v
