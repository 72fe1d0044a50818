// Where the frames of a clip go while it is made.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "models/video_vae.h"
#include "t2v/generate.h"
#include "video/write/encoder.h"

namespace t2v {

class ClipSink {
 public:
  virtual ~ClipSink() = default;
  // frames float32 [3, t, H, W] in [-1, 1], in order. Throws Error{non_finite, output}.
  void write(const at::Tensor& frames) {
    take(frames);
    frames_ += frames.size(1);
  }
  // The clip is whole; a file gets its name.
  virtual void finish() = 0;
  int64_t frames() const { return frames_; }  // taken so far
  // Frames of the finished clip.
  virtual int64_t written() const { return frames_; }

 protected:
  virtual void take(const at::Tensor& frames) = 0;

 private:
  int64_t frames_ = 0;
};

// A video file or image sequence; the encoder works on a thread of its own. Nothing stays under the file's
// name where finish() is not reached.
std::unique_ptr<ClipSink> make_file_sink(const EncoderOptions& options);

std::unique_ptr<ClipSink> make_receiver_sink(std::function<void(const FrameBlock&)> receiver);

// latents [C, T, h, w] in the sampler's space → the first `frames` of their frames, and the end of the clip.
void decode_to(ClipSink& sink, const VideoVae& vae, const at::Tensor& latents, int64_t frames,
               Observer& observer);

}  // namespace t2v
