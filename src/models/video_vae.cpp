#include "models/video_vae.h"

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "t2v/error.h"

namespace t2v {

std::array<int64_t, 4> VaeSpec::latent_shape(int64_t frames, int64_t width, int64_t height) const {
  if ((frames - 1) / temporal_ratio % latent_step != 0)
    throw Error(ErrorKind::usage, "the model makes clips of 1 + " +
                                      std::to_string(frame_step()) + "·k frames, found " +
                                      std::to_string(frames));
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

Posterior VideoVae::posterior_of(const std::vector<at::Tensor>& parts) {
  if (parts.empty()) return {};
  const auto moments = at::cat(parts).transpose(0, 1).contiguous().chunk(2);  // [C, T, h, w] x 2
  return {moments[0], moments[1].clamp(-30.0, 20.0)};
}

Posterior VideoVae::encode(const at::Tensor& frames) const {
  if (frames.dim() != 4 || frames.size(1) < 1 || (frames.size(1) - 1) % spec_.temporal_ratio != 0)
    refuse_frames(frames);
  const auto stream = encode_stream();
  const auto begin = stream->push(frames), rest = stream->finish();
  if (!begin.mean.defined()) return rest;
  if (!rest.mean.defined()) return begin;
  return {at::cat({begin.mean, rest.mean}, 1), at::cat({begin.logvar, rest.logvar}, 1)};
}

void VideoVae::decode(const at::Tensor& latents, const std::function<void(const at::Tensor&)>& sink) const {
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
