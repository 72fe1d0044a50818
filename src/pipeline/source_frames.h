// Frames of pictures and videos as a clip takes them: at its rate and size.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/plan/sizes.h"
#include "video/read/decoder.h"

namespace t2v {

// How a picture of another shape becomes the clip's: cut to its shape, put between black bars, or stretched.
enum class Fit { crop, pad, stretch };
Fit parse_fit(const std::string& name);  // Throws Error{usage}.

struct SourceInfo {
  PixelSize size;
  int64_t frames = 0;     // at the clip's rate
  bool is_video = false;  // more than one frame
  bool has_sound = false;
  bool is_transparent = false;     // in places
  double begins = 0;               // seconds by the file's clock, as VideoInfo has it
  std::vector<std::string> notes;  // what was read otherwise than it is stored
  std::string hash;                // XXH3-64 of the RGB bytes of its frames, 16 hexadecimal digits
};

// Reads the whole file, so that what is wrong with it is found before weights load. Throws Error{bad_input}.
// is_mask: what is hashed of a transparent file is its transparency.
SourceInfo look_at_source(const std::string& path, double fps, bool is_mask = false);

// A file's first frame as it is stored. Throws Error{bad_input}.
Frame read_picture(const std::string& path);

// The frames of a file from a frame on, resampled in time (the nearest one) and space (Pillow's lanczos).
class SourceFrames {
 public:
  SourceFrames(const std::string& path, double fps, PixelSize size, Fit fit, int64_t from = 0,
               bool reads_transparency = false);
  ~SourceFrames();
  // The next frame, or nothing at the end. A still picture has no end.
  std::optional<Frame> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace t2v
