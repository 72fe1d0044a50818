#include <string>

#include "t2v/error.h"
#include "video/scaler.h"
#include "video/write/output_file.h"
#include "video/write/sinks.h"

namespace t2v {

namespace {

class Y4mSink : public FrameSink {
 public:
  explicit Y4mSink(const EncoderOptions& options) : file_(options.path) {
    const PictureFormat rgb{options.width, options.height};
    const PictureFormat yuv{options.width, options.height, AV_PIX_FMT_YUV444P, AVCOL_SPC_BT709, false};
    scaler_ = make_scaler(rgb, yuv, SWS_BILINEAR);
    rgb_ = make_picture(rgb);
    yuv_ = make_picture(yuv);
    const auto number = [](int value) { return std::to_string(value); };
    const auto header = "YUV4MPEG2 W" + number(options.width) + " H" + number(options.height) + " F" +
                        number(options.fps.numerator) + ":" + number(options.fps.denominator) +
                        " Ip A1:1 C444 XCOLORRANGE=LIMITED XCOLORMATRIX=BT709\n";
    file_.write(header.data(), header.size());
  }

  void write(const Frame& frame) override {
    copy_to_picture(frame, *rgb_);
    scale(*scaler_, *rgb_, *yuv_);
    bytes_.assign("FRAME\n");
    for (int plane = 0; plane < 3; ++plane)
      for (int y = 0; y < yuv_->height; ++y)
        bytes_.append(reinterpret_cast<const char*>(yuv_->data[plane]) +
                          static_cast<std::ptrdiff_t>(y) * yuv_->linesize[plane],
                      yuv_->width);
    file_.write(bytes_.data(), bytes_.size());
  }

  void finish() override { file_.finish(); }

 private:
  OutputFile file_;
  libav::Scaler scaler_;
  libav::Picture rgb_, yuv_;
  std::string bytes_;
};

}  // namespace

std::unique_ptr<FrameSink> open_y4m(const EncoderOptions& options) {
  return std::make_unique<Y4mSink>(options);
}

}  // namespace t2v
