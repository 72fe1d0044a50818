// Decoded pictures as frames: upright, square pixels, full-range RGB on white.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "video/read/decoder.h"
#include "video/read/orientation.h"
#include "video/scaler.h"

namespace t2v {

// The picture's tags; unspecified where they are none that libav knows.
struct Colours {
  AVColorSpace matrix;
  AVColorRange range;
  AVColorPrimaries primaries;
  AVColorTransferCharacteristic transfer;
  AVChromaLocation chroma;
};
Colours colours_of(const AVFrame& picture);

// What the stream says about its pictures when they do not say it themselves.
struct PictureDefaults {
  bool untagged_is_bt709 = false;           // otherwise from 720 rows on only
  const int32_t* display_matrix = nullptr;  // int32[9], or null
};

class PictureConverter {
 public:
  explicit PictureConverter(const DecoderLimits& limits) : limits_(limits) {}

  // All pictures must be alike. A line on whatever could not be kept goes to `notes`, once. Throws
  // Error{bad_input} with the reason alone.
  Frame convert(const AVFrame& picture, AVRational pixel_shape, const PictureDefaults& defaults,
                std::vector<std::string>& notes);

 private:
  void prepare(const AVFrame& picture, AVRational pixel_shape, const PictureDefaults& defaults);
  int width_of_square_pixels(const AVFrame& picture, AVRational pixel_shape);
  Orientation orientation_of(const AVFrame& picture, const PictureDefaults& defaults);
  void require_few_pixels(int width, int height) const;
  void note(const std::string& line);

  DecoderLimits limits_;
  libav::Scaler scaler_;
  libav::Picture rgb_;    // RGB24, RGB48 of deep RGB, or RGBA for pictures with alpha
  PictureFormat format_;  // of the pictures
  Orientation orientation_;
  long pictures_ = 0;  // so far
  std::set<std::string> noted_;
  std::vector<std::string>* notes_ = nullptr;  // the caller's, during convert
};

}  // namespace t2v
