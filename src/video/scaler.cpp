#include "video/scaler.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "t2v/error.h"

namespace t2v {

namespace {

// swscale counts chroma positions in 1/256 of a luma sample and takes 4:2:0 as centred unless told. A
// direction that is not subsampled must stay unset.
void set_chroma_position(SwsContext& scaler, const char* side, const PictureFormat& format) {
  const auto* description = av_pix_fmt_desc_get(format.pixels);
  if (description == nullptr || (description->flags & AV_PIX_FMT_FLAG_RGB) != 0) return;
  const auto chroma = format.chroma == AVCHROMA_LOC_UNSPECIFIED ? AVCHROMA_LOC_LEFT : format.chroma;
  const bool centred = chroma == AVCHROMA_LOC_CENTER || chroma == AVCHROMA_LOC_TOP ||
                       chroma == AVCHROMA_LOC_BOTTOM;
  const bool top = chroma == AVCHROMA_LOC_TOP || chroma == AVCHROMA_LOC_TOPLEFT;
  const bool bottom = chroma == AVCHROMA_LOC_BOTTOM || chroma == AVCHROMA_LOC_BOTTOMLEFT;
  const auto name = std::string(side);
  if (description->log2_chroma_w == 1)
    av_opt_set_int(&scaler, (name + "_h_chr_pos").c_str(), centred ? 128 : 0, 0);
  if (description->log2_chroma_h == 1)
    av_opt_set_int(&scaler, (name + "_v_chr_pos").c_str(), top ? 0 : bottom ? 256 : 128, 0);
}

class ResizingSink : public FrameSink {
 public:
  ResizingSink(std::unique_ptr<FrameSink> sink, int width, int height, const Resize& resize)
      : sink_(std::move(sink)), width_(width), height_(height), resize_(resize) {}

  void write(const Frame& frame) override {
    require_size(frame, width_, height_);
    Frame resized{resize_.width, resize_.height, {}};
    if (frame.is_deep())
      fill(frame.rgb16, resized.rgb16);
    else
      fill(frame.rgb, resized.rgb);
    sink_->write(resized);
  }

  void finish() override { sink_->finish(); }

 private:
  template <class Value>
  void fill(const std::vector<Value>& from, std::vector<Value>& to) {
    to.resize(static_cast<std::size_t>(resize_.width) * resize_.height * 3);
    if (resize_.nearest) return take_nearest(from.data(), to.data());
    if (!scaler_) prepare(sizeof(Value) == 1 ? AV_PIX_FMT_GRAY8 : AV_PIX_FMT_GRAY16);
    for (int channel = 0; channel < 3; ++channel) filter_channel(from.data() + channel, to.data() + channel);
  }

  void prepare(AVPixelFormat pixels) {
    const PictureFormat from{width_, height_, pixels}, to{resize_.width, resize_.height, pixels};
    scaler_ = make_scaler(from, to, SWS_LANCZOS);
    source_ = make_picture(from);
    target_ = make_picture(to);
  }

  template <class Value>
  void take_nearest(const Value* from, Value* out) const {
    for (long y = 0; y < resize_.height; ++y) {
      const auto* row = from + (2 * y + 1) * height_ / (2L * resize_.height) * width_ * 3;
      for (long x = 0; x < resize_.width; ++x, out += 3)
        std::copy_n(row + (2 * x + 1) * width_ / (2L * resize_.width) * 3, 3, out);
    }
  }

  template <class Value>
  static Value* row_of(const AVFrame& picture, int y) {
    return reinterpret_cast<Value*>(picture.data[0] + static_cast<std::ptrdiff_t>(y) * picture.linesize[0]);
  }

  template <class Value>
  void filter_channel(const Value* in, Value* out) {
    for (int y = 0; y < height_; ++y)
      for (int x = 0; x < width_; ++x, in += 3) row_of<Value>(*source_, y)[x] = *in;
    scale(*scaler_, *source_, *target_);
    for (int y = 0; y < resize_.height; ++y)
      for (int x = 0; x < resize_.width; ++x, out += 3) *out = row_of<Value>(*target_, y)[x];
  }

  std::unique_ptr<FrameSink> sink_;
  int width_, height_;
  Resize resize_;
  libav::Scaler scaler_;  // of the first frame's depth, which is that of all
  libav::Picture source_, target_;
};

// Packed RGB of sixteen bits, in the picture's byte order.
void copy_deep(const Frame& frame, AVFrame& picture) {
  const bool swapped = picture.format != AV_PIX_FMT_RGB48;
  const auto row = static_cast<std::size_t>(frame.width) * 3;
  for (int y = 0; y < frame.height; ++y) {
    auto* out = reinterpret_cast<uint16_t*>(picture.data[0] +
                                            static_cast<std::ptrdiff_t>(y) * picture.linesize[0]);
    for (std::size_t i = 0; i < row; ++i) {
      const auto at = y * row + i;
      const auto value = frame.is_deep() ? frame.rgb16[at] : static_cast<uint16_t>(frame.rgb[at] * 257);
      out[i] = swapped ? static_cast<uint16_t>(value << 8 | value >> 8) : value;
    }
  }
}

}  // namespace

libav::Scaler make_scaler(const PictureFormat& from, const PictureFormat& to, int filter) {
  libav::prepare_library();
  libav::Scaler scaler(libav::allocated(sws_alloc_context()));
  const std::array<std::pair<const char*, int>, 7> options{
      {{"srcw", from.width},
       {"srch", from.height},
       {"src_format", from.pixels},
       {"dstw", to.width},
       {"dsth", to.height},
       {"dst_format", to.pixels},
       {"sws_flags", filter | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT}}};
  for (const auto& [name, value] : options) av_opt_set_int(scaler.get(), name, value, 0);
  set_chroma_position(*scaler, "src", from);
  set_chroma_position(*scaler, "dst", to);
  constexpr int unity = 1 << 16;
  sws_setColorspaceDetails(scaler.get(), sws_getCoefficients(from.matrix), from.full_range,
                           sws_getCoefficients(to.matrix), to.full_range, 0, unity, unity);
  const int result = sws_init_context(scaler.get(), nullptr, nullptr);
  if (result == AVERROR(ENOMEM)) throw std::bad_alloc();
  if (result < 0)
    throw Error(ErrorKind::bad_input,
                "cannot convert " + size_text(from.width, from.height) + " " +
                    av_get_pix_fmt_name(from.pixels) + " to " + size_text(to.width, to.height) + " " +
                    av_get_pix_fmt_name(to.pixels) + ": " + libav::error_text(result) + libav::complaint());
  return scaler;
}

libav::Picture make_picture(const PictureFormat& format) {
  libav::Picture picture(libav::allocated(av_frame_alloc()));
  picture->width = format.width;
  picture->height = format.height;
  picture->format = format.pixels;
  if ((av_pix_fmt_desc_get(format.pixels)->flags & AV_PIX_FMT_FLAG_RGB) == 0) {
    picture->color_primaries = AVCOL_PRI_BT709;
    picture->color_trc = AVCOL_TRC_BT709;
    picture->colorspace = format.matrix;
    picture->color_range = format.full_range ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    picture->chroma_location = format.chroma;
  }
  if (av_frame_get_buffer(picture.get(), 0) < 0) throw std::bad_alloc();
  return picture;
}

void copy_to_picture(const Frame& frame, AVFrame& picture) {
  require_size(frame, picture.width, picture.height);
  if (picture.format != AV_PIX_FMT_RGB24) return copy_deep(frame, picture);
  if (frame.is_deep())
    throw Error(ErrorKind::internal, "a video sink of eight bits was given a frame of sixteen");
  const auto row = static_cast<std::size_t>(frame.width) * 3;
  for (int y = 0; y < frame.height; ++y)
    std::memcpy(picture.data[0] + static_cast<std::ptrdiff_t>(y) * picture.linesize[0],
                frame.rgb.data() + y * row, row);
}

Frame copy_to_frame(const AVFrame& picture) {
  const auto row = static_cast<std::size_t>(picture.width) * 3;
  Frame frame{picture.width, picture.height, std::vector<uint8_t>(row * picture.height)};
  for (int y = 0; y < frame.height; ++y)
    std::memcpy(frame.rgb.data() + y * row,
                picture.data[0] + static_cast<std::ptrdiff_t>(y) * picture.linesize[0], row);
  return frame;
}

void scale(SwsContext& scaler, const AVFrame& from, AVFrame& to) {
  const int rows = sws_scale(&scaler, from.data, from.linesize, 0, from.height, to.data, to.linesize);
  if (rows != to.height)
    throw Error(ErrorKind::internal, "swscale made " + std::to_string(rows) + " rows of " +
                                         std::to_string(to.height) + libav::complaint());
}

void require_size(const Frame& frame, int width, int height) {
  const auto values = frame.is_deep() ? frame.rgb16.size() : frame.rgb.size();
  if (frame.width != width || frame.height != height ||
      values != static_cast<std::size_t>(width) * height * 3)
    throw Error(ErrorKind::internal, "a video sink opened for " + size_text(width, height) +
                                         " was given a frame of " + size_text(frame.width, frame.height) +
                                         " with " + std::to_string(values) + " values");
}

std::unique_ptr<FrameSink> make_resizing_sink(std::unique_ptr<FrameSink> sink, int width, int height,
                                              const Resize& resize) {
  return std::make_unique<ResizingSink>(std::move(sink), width, height, resize);
}

}  // namespace t2v
