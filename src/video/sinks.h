// The kinds of sink behind open_encoder. Each takes frames of options.width x options.height; options.resize
// is not theirs.
#pragma once

#include "video/encoder.h"

namespace t2v {

// H.264 in mp4, mov or mkv: yuv420p, BT.709 limited range, converted and tagged. The same frames and options
// give the same bytes on every machine with the same x264. Throws Error{usage} for odd sizes.
std::unique_ptr<FrameSink> open_movie(const EncoderOptions& options);

// Lossless 8-bit RGB images with the metadata in text chunks. A sequence is numbered from 0; a name without a
// number holds one image, and a second frame throws Error{usage}.
std::unique_ptr<FrameSink> open_images(const EncoderOptions& options);

// YUV4MPEG2, 4:4:4 so that colours keep their place, BT.709 limited range. The format has no tag for the
// matrix: a comment, XCOLORMATRIX=BT709, says it, and t2v's own reader heeds it.
std::unique_ptr<FrameSink> open_y4m(const EncoderOptions& options);

}  // namespace t2v
