#include "video/scaler.h"

#include <array>
#include <cstring>

#include "t2v/error.h"

namespace t2v {

namespace {

std::string size_text(int width, int height) { return std::to_string(width) + "x" + std::to_string(height); }

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
      : sink_(std::move(sink)), width_(width), height_(height), resize_(resize) {
    if (resize.nearest) return;
    const PictureFormat from{width, height, AV_PIX_FMT_GRAY8},
        to{resize.width, resize.height, AV_PIX_FMT_GRAY8};
    scaler_ = make_scaler(from, to, SWS_LANCZOS);
    source_ = make_picture(from);
    target_ = make_picture(to);
  }

  void write(const Frame& frame) override {
    require_size(frame, width_, height_);
    Frame resized{resize_.width, resize_.height,
                  std::vector<uint8_t>(static_cast<std::size_t>(resize_.width) * resize_.height * 3)};
    if (resize_.nearest) {
      take_nearest(frame, resized);
    } else {
      for (int channel = 0; channel < 3; ++channel) filter_channel(frame, resized, channel);
    }
    sink_->write(resized);
  }

  void finish() override { sink_->finish(); }

 private:
  static void take_nearest(const Frame& from, Frame& to) {
    auto* out = to.rgb.data();
    for (long y = 0; y < to.height; ++y) {
      const auto* row = from.rgb.data() + (2 * y + 1) * from.height / (2L * to.height) * from.width * 3;
      for (long x = 0; x < to.width; ++x, out += 3)
        std::memcpy(out, row + (2 * x + 1) * from.width / (2L * to.width) * 3, 3);
    }
  }

  void filter_channel(const Frame& from, Frame& to, int channel) {
    const auto* in = from.rgb.data() + channel;
    for (std::ptrdiff_t y = 0; y < from.height; ++y)
      for (int x = 0; x < from.width; ++x, in += 3) source_->data[0][y * source_->linesize[0] + x] = *in;
    scale(*scaler_, *source_, *target_);
    auto* out = to.rgb.data() + channel;
    for (std::ptrdiff_t y = 0; y < to.height; ++y)
      for (int x = 0; x < to.width; ++x, out += 3) *out = target_->data[0][y * target_->linesize[0] + x];
  }

  std::unique_ptr<FrameSink> sink_;
  int width_, height_;
  Resize resize_;
  libav::Scaler scaler_;
  libav::Picture source_, target_;
};

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
  if (format.pixels != AV_PIX_FMT_RGB24) {
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
  if (frame.width != width || frame.height != height ||
      frame.rgb.size() != static_cast<std::size_t>(width) * height * 3)
    throw Error(ErrorKind::internal, "a video sink opened for " + size_text(width, height) +
                                         " was given a frame of " + size_text(frame.width, frame.height) +
                                         " with " + std::to_string(frame.rgb.size()) + " bytes");
}

std::unique_ptr<FrameSink> make_resizing_sink(std::unique_ptr<FrameSink> sink, int width, int height,
                                              const Resize& resize) {
  return std::make_unique<ResizingSink>(std::move(sink), width, height, resize);
}

}  // namespace t2v
