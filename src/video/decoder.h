// RGB frames from any file that libav reads. Network and nested protocols are off; sizes and counts are
// capped, since no file is trusted.
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
  std::string codec, pixel_format;              // libav's names
  std::string colour_space, colour_range;       // as tagged, "unknown" where not
  std::string container;                        // libav's name of the demuxer
  std::map<std::string, std::string> metadata;  // of the container, or of the (first) image
};

struct DecoderLimits {
  long pixels_per_frame = 8192L * 8192L;
  long frames = 1'000'000;
};

class VideoReader : public FrameSource {
 public:
  virtual const VideoInfo& info() const = 0;
};

// A video, an image, or a pattern like frames/%05d.png (numbers without a gap, from the lowest that exists).
// Frames come in presentation order, converted to full-range RGB by the file's own matrix and range
// (untagged: BT.709 from 720 rows on, else BT.601; limited range) and turned upright where the container says
// so. Alpha is dropped, pixels are taken as square, the transfer curve is left as it is. What is read is that
// one file: playlists and scripts that name others are refused. Throws Error{bad_input}, here or in read(),
// for what is missing, damaged, cut short or beyond `limits`.
std::unique_ptr<VideoReader> open_video(const std::filesystem::path& path, const DecoderLimits& limits = {});

}  // namespace t2v
