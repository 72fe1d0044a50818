// Colour conversion and resizing by swscale, with every parameter that swscale would otherwise guess given
// explicitly.
#pragma once

#include "video/encoder.h"
#include "video/frame.h"
#include "video/libav.h"

namespace t2v {

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

// Copies between packed RGB and a picture in AV_PIX_FMT_RGB24 of the same size. swscale works on pictures
// because their rows are padded.
void copy_to_picture(const Frame& frame, AVFrame& picture);
Frame copy_to_frame(const AVFrame& picture);

void scale(SwsContext& scaler, const AVFrame& from, AVFrame& to);

// Throws Error{internal} unless `frame` is width x height and holds as many bytes.
void require_size(const Frame& frame, int width, int height);

}  // namespace t2v
