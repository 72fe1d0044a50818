// Colour conversion and resizing by swscale, with every parameter that swscale would otherwise guess given
// explicitly.
#pragma once

#include <string>

#include "video/frame.h"
#include "video/libav.h"
#include "video/write/encoder.h"

namespace t2v {

// "640x384"
inline std::string size_text(int width, int height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

// How the samples of a picture are to be understood.
struct PictureFormat {
  int width = 0;
  int height = 0;
  AVPixelFormat pixels = AV_PIX_FMT_RGB24;
  AVColorSpace matrix = AVCOL_SPC_BT709;
  bool full_range = true;
  AVChromaLocation chroma = AVCHROMA_LOC_LEFT;  // of 4:2:0 and 4:2:2
};

// A context that converts `from` to `to` with the given filter (SWS_BILINEAR, …): accurate rounding, full
// chroma resolution, and the same bits on every processor. Throws Error{bad_input} when swscale cannot do it.
libav::Scaler make_scaler(const PictureFormat& from, const PictureFormat& to, int filter);

// A picture with buffers of its own, tagged as BT.709 where it is YUV. Throws std::bad_alloc.
libav::Picture make_picture(const PictureFormat& format);

// Copies a frame to a picture of the same size in AV_PIX_FMT_RGB24, or in AV_PIX_FMT_RGB48 of either byte
// order, where values of eight bits are widened. swscale works on pictures because their rows are padded.
// Throws Error{internal} for a frame of another size, and for sixteen bits where the picture has eight.
void copy_to_picture(const Frame& frame, AVFrame& picture);
// The same back from AV_PIX_FMT_RGB24.
Frame copy_to_frame(const AVFrame& picture);

void scale(SwsContext& scaler, const AVFrame& from, AVFrame& to);

// Throws Error{internal} unless `frame` is width x height and holds as many values, of eight or sixteen bits.
void require_size(const Frame& frame, int width, int height);

}  // namespace t2v
