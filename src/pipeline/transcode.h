// Between latents and video files, without the transformer: t2v decode and t2v encode.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "pipeline/components.h"
#include "t2v/observer.h"
#include "video/write/encoder.h"

namespace t2v {

// What is absent comes from the latents file, then from the model's t2v.json, then from what generate takes.
struct DecodeRequest {
  std::optional<std::string> model;
  std::string latents;  // safetensors file
  std::string output;
  std::optional<double> fps;
  std::optional<std::string> resize, resize_filter;
  std::optional<std::string> codec, bitrate;
  std::optional<int64_t> crf, quality;
  std::string device = "auto";
  std::optional<std::string> vae_dtype, vae_tiling;  // as GenerationRequest has them
  std::optional<int64_t> threads;
};
// The video has the latents' provenance in its metadata. Returns the number of frames written. Throws
// Error{bad_input} for latents of another autoencoder than the model's.
int64_t decode_latents(const DecodeRequest& request, Observer& observer);

struct EncodeRequest {
  std::string model = kDefaultModel;
  std::string input;                // video, image, or pattern of images
  std::string output;               // safetensors file
  std::optional<std::string> size;  // "WxH": resampled to this first
  std::optional<int64_t> frames;    // at most so many
  std::string device = "auto";
  std::optional<std::string> vae_dtype, vae_tiling;
  std::optional<int64_t> threads;
};
struct EncodeResult {
  int64_t frames = 0;
  std::vector<int64_t> latent_shape;  // [1, C, T, H, W]
};
// The posterior's mean, normalised to the sampler's space, with the video's rate and provenance. Memory does
// not grow with the length of the video.
EncodeResult encode_video(const EncodeRequest& request, Observer& observer);

}  // namespace t2v
