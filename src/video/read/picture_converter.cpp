#include "video/read/picture_converter.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "t2v/error.h"

namespace t2v {

namespace {

[[noreturn]] void fail(const std::string& why) { throw Error(ErrorKind::bad_input, why); }

// libav fills these fields with numbers of the file, some of which are none of their enum's values; in C++
// reading such a one is undefined.
template <typename Enum>
Enum known(const Enum& field, Enum end, Enum unspecified) {
  static_assert(sizeof field == sizeof(int));
  int number = 0;
  std::memcpy(&number, &field, sizeof number);
  return number < 0 || number >= end ? unspecified : field;
}

AVColorSpace matrix_of(const AVFrame& picture, AVColorSpace tagged, const PictureDefaults& defaults) {
  switch (tagged) {
    case AVCOL_SPC_RGB:
    case AVCOL_SPC_BT709:
    case AVCOL_SPC_FCC:
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
    case AVCOL_SPC_SMPTE240M:
    case AVCOL_SPC_BT2020_NCL:
      return tagged;
    case AVCOL_SPC_UNSPECIFIED:
    case AVCOL_SPC_RESERVED:
      return defaults.untagged_is_bt709 || picture.height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    default:
      fail(std::string("its colour matrix, ") + av_color_space_name(tagged) +
           ", is not supported; convert it to BT.709 first");
  }
}

void refuse_high_dynamic_range(AVColorTransferCharacteristic transfer) {
  if (transfer != AVCOL_TRC_SMPTE2084 && transfer != AVCOL_TRC_ARIB_STD_B67) return;
  fail(std::string("its transfer curve is ") + (transfer == AVCOL_TRC_SMPTE2084 ? "PQ" : "HLG") +
       " (high dynamic range), which is not supported; convert it to BT.709 first, as by FFmpeg's filters "
       "zscale and tonemap");
}

// Copies packed RGBA onto white; `transparent` is set where anything shows through.
Frame on_white(const AVFrame& rgba, bool& transparent) {
  Frame frame{rgba.width, rgba.height,
              std::vector<uint8_t>(static_cast<std::size_t>(rgba.width) * rgba.height * 3)};
  auto* out = frame.rgb.data();
  for (int y = 0; y < rgba.height; ++y) {
    const auto* in = rgba.data[0] + static_cast<std::ptrdiff_t>(y) * rgba.linesize[0];
    for (int x = 0; x < rgba.width; ++x, in += 4, out += 3) {
      const int alpha = in[3];
      transparent = transparent || alpha < 255;
      for (int i = 0; i < 3; ++i)
        out[i] = static_cast<uint8_t>((in[i] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  }
  return frame;
}

// Of packed RGBA.
Frame transparency_of(const AVFrame& rgba) {
  Frame frame{rgba.width, rgba.height, {}};
  for (int y = 0; y < rgba.height; ++y) {
    const auto* in = rgba.data[0] + static_cast<std::ptrdiff_t>(y) * rgba.linesize[0];
    for (int x = 0; x < rgba.width; ++x)
      frame.rgb.insert(frame.rgb.end(), 3, static_cast<uint8_t>(255 - in[4 * x + 3]));
  }
  return frame;
}

// Packed RGB of sixteen bits, rounded to eight, which swscale would cut.
Frame rounded(const AVFrame& rgb48) {
  Frame frame{rgb48.width, rgb48.height, {}};
  const auto row = static_cast<std::size_t>(rgb48.width) * 3;
  frame.rgb.reserve(row * static_cast<std::size_t>(rgb48.height));
  for (int y = 0; y < rgb48.height; ++y) {
    const auto* in = reinterpret_cast<const uint16_t*>(rgb48.data[0] +
                                                       static_cast<std::ptrdiff_t>(y) * rgb48.linesize[0]);
    for (std::size_t i = 0; i < row; ++i) frame.rgb.push_back(static_cast<uint8_t>((in[i] + 128) / 257));
  }
  return frame;
}

AVPixelFormat rgb_for(AVPixelFormat pixels) {
  const auto& description = *av_pix_fmt_desc_get(pixels);
  if ((description.flags & AV_PIX_FMT_FLAG_ALPHA) != 0) return AV_PIX_FMT_RGBA;
  const bool is_rgb = (description.flags & AV_PIX_FMT_FLAG_RGB) != 0;
  return is_rgb && description.comp[0].depth > 8 ? AV_PIX_FMT_RGB48 : AV_PIX_FMT_RGB24;
}

}  // namespace

Colours colours_of(const AVFrame& picture) {
  return {known(picture.colorspace, AVCOL_SPC_NB, AVCOL_SPC_UNSPECIFIED),
          known(picture.color_range, AVCOL_RANGE_NB, AVCOL_RANGE_UNSPECIFIED),
          known(picture.color_primaries, AVCOL_PRI_NB, AVCOL_PRI_UNSPECIFIED),
          known(picture.color_trc, AVCOL_TRC_NB, AVCOL_TRC_UNSPECIFIED),
          known(picture.chroma_location, AVCHROMA_LOC_NB, AVCHROMA_LOC_UNSPECIFIED)};
}

Frame PictureConverter::convert(const AVFrame& picture, AVRational pixel_shape,
                                const PictureDefaults& defaults, std::vector<std::string>& notes) {
  notes_ = &notes;
  ++pictures_;
  prepare(picture, pixel_shape, defaults);
  if (libav::is_interlaced(picture))
    note("is interlaced: its lines are read as they are, which shows as combs where something moves");
  scale(*scaler_, picture, *rgb_);
  if (limits_.reads_transparency && rgb_->format != AV_PIX_FMT_RGBA)
    return upright({rgb_->width, rgb_->height,
                    std::vector<uint8_t>(static_cast<std::size_t>(rgb_->width) * rgb_->height * 3)},
                   orientation_);
  if (rgb_->format == AV_PIX_FMT_RGB24) return upright(copy_to_frame(*rgb_), orientation_);
  if (rgb_->format == AV_PIX_FMT_RGB48) return upright(rounded(*rgb_), orientation_);
  bool transparent = false;
  auto frame = on_white(*rgb_, transparent);
  if (transparent) note(transparency_note);
  if (limits_.reads_transparency) frame = transparency_of(*rgb_);
  return upright(std::move(frame), orientation_);
}

// The scaler follows the first picture; libav lets a stream change its size on the way, a clip may not.
void PictureConverter::prepare(const AVFrame& picture, AVRational pixel_shape,
                               const PictureDefaults& defaults) {
  require_few_pixels(picture.width, picture.height);
  const auto pixels = static_cast<AVPixelFormat>(picture.format);
  const auto orientation = orientation_of(picture, defaults);
  if (scaler_) {
    const auto frame = "frame " + std::to_string(pictures_);
    if (picture.width != format_.width || picture.height != format_.height || pixels != format_.pixels)
      fail(frame + " is " + size_text(picture.width, picture.height) + " " + av_get_pix_fmt_name(pixels) +
           ", the frames before it are " + size_text(format_.width, format_.height) + " " +
           av_get_pix_fmt_name(format_.pixels));
    if (orientation != orientation_) fail(frame + " is turned in another way than the frames before it");
    return;
  }
  const auto colours = colours_of(picture);
  refuse_high_dynamic_range(colours.transfer);
  if (colours.primaries == AVCOL_PRI_BT2020 || colours.primaries == AVCOL_PRI_SMPTE431 ||
      colours.primaries == AVCOL_PRI_SMPTE432)
    note(std::string("has wide colours (") + av_color_primaries_name(colours.primaries) +
         "), which are read as BT.709's and so come out paler");
  const bool full_range = colours.range == AVCOL_RANGE_JPEG ||
                          std::string_view(av_get_pix_fmt_name(pixels)).starts_with("yuvj");
  orientation_ = orientation;
  format_ = {picture.width, picture.height, pixels, matrix_of(picture, colours.matrix, defaults),
             full_range,    colours.chroma};
  // swscale goes through YUV from some kinds of RGB too, hence the matrix.
  const PictureFormat rgb{width_of_square_pixels(picture, pixel_shape), format_.height, rgb_for(pixels),
                          format_.matrix};
  scaler_ = make_scaler(format_, rgb, rgb.width == format_.width ? SWS_BILINEAR : SWS_LANCZOS);
  rgb_ = make_picture(rgb);
}

int PictureConverter::width_of_square_pixels(const AVFrame& picture, AVRational pixel_shape) {
  if (pixel_shape.num <= 0 || pixel_shape.den <= 0) return picture.width;
  const double ratio = av_q2d(pixel_shape);
  const auto shape = std::to_string(pixel_shape.num) + ":" + std::to_string(pixel_shape.den);
  if (ratio < 1.0 / 16 || ratio > 16) {
    note("says that its pixels are " + shape + ", which is taken for an error: they are read as square");
    return picture.width;
  }
  const int width = std::max(1, static_cast<int>(std::lround(picture.width * ratio)));
  if (width == picture.width) return width;
  require_few_pixels(width, picture.height);
  note("has pixels of " + shape + ": brought from " + size_text(picture.width, picture.height) + " to " +
       size_text(width, picture.height) + " square ones");
  return width;
}

Orientation PictureConverter::orientation_of(const AVFrame& picture, const PictureDefaults& defaults) {
  const auto* matrix = libav::display_matrix(picture);
  if (matrix == nullptr) {
    // libav 5.1 has WebP's in the metadata only.
    if (const auto* tag = av_dict_get(picture.metadata, "Orientation", nullptr, 0))
      return orientation_of_exif(std::atoi(tag->value));
    matrix = defaults.display_matrix;
  }
  if (matrix == nullptr) return {};
  if (const auto found = orientation_of_matrix(matrix)) return *found;
  note("is to be shown turned by " + std::to_string(std::lround(-av_display_rotation_get(matrix))) +
       " degrees, which is not done: only quarter turns and mirror images are");
  return {};
}

void PictureConverter::require_few_pixels(int width, int height) const {
  if (static_cast<int64_t>(width) * height > limits_.pixels_per_frame)
    fail("its pictures have " + size_text(width, height) + " pixels, more than the " +
         std::to_string(limits_.pixels_per_frame) + " allowed");
}

void PictureConverter::note(const std::string& line) {
  if (noted_.insert(line).second) notes_->push_back(line);
}

}  // namespace t2v
