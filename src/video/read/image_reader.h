// A sequence of numbered images as a video.
#pragma once

#include "video/read/decoder.h"
#include "video/write/output_name.h"

namespace t2v {

// Reads the images of `pattern` one after another, from the lowest number in the folder. Throws
// Error{bad_input} when there is none, when a number is missing in between, and when an image has another
// size than the first.
std::unique_ptr<VideoReader> open_image_sequence(const ImagePattern& pattern, const DecoderLimits& limits);

}  // namespace t2v
