// A small still of a video, for a page.
#pragma once

#include <string>

#include "video/frame.h"

namespace t2v {

// JPEG (4:4:4) of the frame, made smaller if its longer side is above `longest_side`. Throws Error{internal}
// when libav has no encoder.
std::string encode_poster(const Frame& frame, int longest_side);

}  // namespace t2v
