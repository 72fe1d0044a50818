// RGB frames from any file that libav reads. Network and nested protocols are off; sizes and counts are capped, since no file is trusted.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "video/encoder.h"
#include "video/frame.h"

namespace t2v {

struct VideoInfo {
  int width = 0;
  int height = 0;
  Rational fps;                                 // 0/1 when unknown (a still image)
  std::optional<long> frames;                   // when the container says
  std::string codec, pixel_format, colour_space, colour_range, container;
  std::map<std::string, std::string> metadata;  // of the container
};

struct DecoderLimits {
  long pixels_per_frame = 8192L * 8192L;
  long frames = 1'000'000;
};

class VideoReader : public FrameSource {
 public:
  virtual const VideoInfo& info() const = 0;
};

// A video, an image, or a pattern like frames/%05d.png. Frames are converted to full-range RGB by the file's own matrix and range (BT.601 or BT.709
// by size where untagged). Throws Error{bad_input}.
std::unique_ptr<VideoReader> open_video(const std::filesystem::path& path, const DecoderLimits& limits = {});

}  // namespace t2v
