// CogVideoX's causal video autoencoder: 4x in time, 8x in space. Its group norms see a chunk at a time, so
// that the reference's chunks are part of what it computes: 8 frames, or 2 latent frames, and the first chunk
// one more. Source: Yang et al. 2024 (CogVideoX), section 2.1; diffusers autoencoder_kl_cogvideox.py,
// AutoencoderKLCogVideoX.
#pragma once

#include <memory>
#include <vector>

#include "base/json.h"
#include "models/video_vae.h"
#include "weights/weights.h"

namespace t2v {

struct CogVideoXVaeConfig {
  std::vector<int64_t> block_out_channels = {128, 256, 256, 512};
  int64_t latent_channels = 16, layers_per_block = 3, norm_num_groups = 32;
  int64_t temporal_levels = 2;  // log2 of the config's temporal_compression_ratio
  double norm_eps = 1e-6, scaling_factor = 1.15258426;
  bool invert_scale_latents = false;
  int64_t sample_width = 720, sample_height = 480;  // pixels; tiles have half of each
  int64_t leading = 0;                              // not of the file: see VaeSpec
  VaeSpec spec() const;
};

// Throws Error{bad_input} for values out of range and for variants that are not supported.
CogVideoXVaeConfig parse_cogvideox_vae_config(const Json& config, const std::string& where);

class CogVideoXVae : public VideoVae {
 public:
  CogVideoXVae(const CogVideoXVaeConfig& config, const WeightScope& weights);
  ~CogVideoXVae() override;

  // Throw Error{usage}: this family is not trained here.
  Posterior encode_clips(const at::Tensor& frames) const override;
  at::Tensor decode_clips(const at::Tensor& latents) const override;

  // latents · scaling_factor (by it, with invert_scale_latents), and what is decoded: latents /
  // scaling_factor. Source: pipeline_cogvideox.py, decode_latents; pipeline_cogvideox_image2video.py,
  // prepare_latents.
  at::Tensor normalise(const at::Tensor& latents) const override;
  at::Tensor denormalise(const at::Tensor& latents) const override;

 protected:
  // A clip of 8·k + 1 frames, or of at most 16; frames beyond that are dropped.
  std::unique_ptr<VaePass> encode_pass(int64_t latent_pixels) const override;
  // An odd number of latent frames without the leading ones, or at most four: the reference cuts a longer
  // even number elsewhere, and makes four frames of its first one. finish() throws Error{usage} for it.
  std::unique_ptr<VaePass> decode_pass(int64_t latent_pixels) const override;
  TileGrid encode_tiles() const override;
  TileGrid decode_tiles() const override;

 private:
  struct Encoder;
  struct Decoder;
  class EncodePass;
  class DecodePass;

  CogVideoXVaeConfig config_;
  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace t2v
