#include "t2v/error.h"
#include "video/scaler.h"
#include "video/write/movie_file.h"
#include "video/write/sinks.h"

namespace t2v {

namespace {

class MovieSink : public FrameSink {
 public:
  explicit MovieSink(const EncoderOptions& options) : movie_(options) {
    const auto& codec = codec_of(options);
    const PictureFormat rgb{options.width, options.height,
                            codec.is_deep() ? AV_PIX_FMT_RGB48 : AV_PIX_FMT_RGB24};
    const PictureFormat stored{options.width, options.height, codec.pixels,
                               codec.is_rgb() ? AVCOL_SPC_RGB : AVCOL_SPC_BT709, codec.is_rgb()};
    scaler_ = make_scaler(rgb, stored, SWS_BILINEAR);
    rgb_ = make_picture(rgb);
    stored_ = make_picture(stored);
  }

  void write(const Frame& frame) override {
    copy_to_picture(frame, *rgb_);
    if (av_frame_make_writable(stored_.get()) < 0) throw std::bad_alloc();
    scale(*scaler_, *rgb_, *stored_);
    movie_.encode(*stored_);
  }

  void finish() override {
    movie_.end();
    movie_.finish();
  }

 private:
  MovieFile movie_;
  libav::Scaler scaler_;
  libav::Picture rgb_, stored_;
};

}  // namespace

std::unique_ptr<FrameSink> open_movie(const EncoderOptions& options) {
  libav::prepare_library();
  return std::make_unique<MovieSink>(options);
}

}  // namespace t2v
