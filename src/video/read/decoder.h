// RGB frames from any file that libav reads. Network and nested protocols are off; sizes and counts are
// capped, since no file is trusted.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "video/frame.h"
#include "video/write/encoder.h"

namespace t2v {

struct VideoInfo {
  int width = 0;
  int height = 0;
  Rational fps;               // of the frames; 0/1 when unknown (a still image)
  bool constant_rate = true;  // of the stored pictures, as far as they have been looked at
  bool has_sound = false;
  double begins = 0;  // when the first picture is shown, seconds by the file's clock, which its sound follows
  std::optional<long> frames;                   // pictures that are stored, when the container says
  std::string codec, pixel_format;              // libav's names
  std::string colour_space, colour_range;       // as tagged, "unknown" where not
  std::string container;                        // libav's name of the demuxer
  std::map<std::string, std::string> metadata;  // of the container, or of the (first) image
  std::vector<std::string> notes;               // a line each on what is read otherwise than it is stored, as
                                   // "is interlaced: …"; complete when all frames have been read
};

struct DecoderLimits {
  long pixels_per_frame = 8192L * 8192L;
  long frames = 1'000'000;
  bool reads_transparency = false;  // frames show, in place of colours, how transparent a picture is: white
                                    // where wholly so
};

// What VideoInfo.notes say of a file whose transparency was seen.
inline constexpr const char* transparency_note = "is transparent in places, which are read as white";

class VideoReader : public FrameSource {
 public:
  virtual const VideoInfo& info() const = 0;
};

// A video, an image, or a pattern like frames/%05d.png (numbers without a gap, from the lowest that exists).
// Frames come in presentation order, at a constant rate (a variable one is brought to it by repeating and
// leaving out pictures), converted to full-range RGB by the file's own matrix and range (untagged: BT.709
// from 720 rows on, else BT.601; limited range). They are turned and mirrored upright where libav hands that
// on, brought to square pixels at their height, and shown on white where they are transparent. The transfer
// curve is left as it is; PQ and HLG are refused. What is read is that one file: playlists and scripts that
// name others are refused. Throws Error{bad_input}, here or in read(), for what is missing, damaged, shorter
// than it says or beyond `limits`.
std::unique_ptr<VideoReader> open_video(const std::filesystem::path& path, const DecoderLimits& limits = {});

}  // namespace t2v
