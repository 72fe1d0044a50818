// The kinds of sink behind open_encoder. Each takes frames of options.width x options.height; options.resize
// is not theirs.
#pragma once

#include "video/write/encoder.h"

namespace t2v {

// Movies: BT.709 converted and tagged. Limited range, or RGB where the codec takes it.
std::unique_ptr<FrameSink> open_movie(const EncoderOptions& options);

// GIF with one palette of 255 colours made for the clip, dithered. Until the palette is known the frames wait
// in a temporary file beside the output. The comment is stored as one.
std::unique_ptr<FrameSink> open_gif(const EncoderOptions& options);

// Animated WebP that repeats for ever; the metadata in XMP.
std::unique_ptr<FrameSink> open_webp(const EncoderOptions& options);

// Lossless RGB images of 8 or 16 bits with the metadata in text chunks. A sequence is numbered from 0; a name
// without a number holds one image, and a second frame throws Error{usage}.
std::unique_ptr<FrameSink> open_images(const EncoderOptions& options);

// YUV4MPEG2, 4:4:4 so that colours keep their place, BT.709 limited range. The format has no tag for the
// matrix: a comment, XCOLORMATRIX=BT709, says it, and t2v's own reader heeds it.
std::unique_ptr<FrameSink> open_y4m(const EncoderOptions& options);

}  // namespace t2v
