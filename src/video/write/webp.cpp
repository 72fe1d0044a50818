#include <cstring>

#include "t2v/error.h"
#include "video/scaler.h"
#include "video/write/codec.h"
#include "video/write/output_file.h"
#include "video/write/sinks.h"
#include "video/write/webp_file.h"

namespace t2v {

namespace {

// libav's encoder hands out the whole file at the end; its muxer would add nothing but a number of repeats.
class WebpSink : public FrameSink {
 public:
  explicit WebpSink(const EncoderOptions& options)
      : file_(options.path), metadata_(xmp_of_metadata(options.metadata)) {
    const auto& codec = codec_of(options);
    libav::Dictionary settings;
    codec_ = make_codec_context(codec, options, settings);
    codec_->thread_count = 1;
    settings.set("quality", std::to_string(plan_compression(options).quality.value()));
    check(avcodec_open2(codec_.get(), codec_->codec, settings.address()));
    const PictureFormat rgb{options.width, options.height};
    const PictureFormat bgra{options.width, options.height, codec.pixels};
    scaler_ = make_scaler(rgb, bgra, SWS_BILINEAR);
    rgb_ = make_picture(rgb);
    bgra_ = make_picture(bgra);
    packet_.reset(libav::allocated(av_packet_alloc()));
  }

  void write(const Frame& frame) override {
    copy_to_picture(frame, *rgb_);
    if (av_frame_make_writable(bgra_.get()) < 0) throw std::bad_alloc();
    scale(*scaler_, *rgb_, *bgra_);
    bgra_->pts = frames_++;
    check(avcodec_send_frame(codec_.get(), bgra_.get()));
  }

  void finish() override {
    check(avcodec_send_frame(codec_.get(), nullptr));
    check(avcodec_receive_packet(codec_.get(), packet_.get()));
    const std::string webp(reinterpret_cast<const char*>(packet_->data),
                           static_cast<std::size_t>(packet_->size));
    const auto end = static_cast<uint32_t>(av_rescale_q(frames_, codec_->time_base, {1, 1000}));
    const auto whole = with_xmp(with_end(webp, end), codec_->width, codec_->height, metadata_);
    file_.write(whole.data(), whole.size());
    file_.finish();
  }

 private:
  void check(int result) const {
    if (result >= 0) return;
    const auto complaint = libav::complaint();
    if (libav::is_out_of_memory(result, complaint)) throw std::bad_alloc();
    throw Error(ErrorKind::output, file_.name() + ": WebP encoder: " + libav::error_text(result) + complaint);
  }

  OutputFile file_;
  std::string metadata_;
  libav::CodecContext codec_;
  libav::Scaler scaler_;
  libav::Picture rgb_, bgra_;
  libav::Packet packet_;
  int64_t frames_ = 0;
};

}  // namespace

std::unique_ptr<FrameSink> open_webp(const EncoderOptions& options) {
  libav::prepare_library();
  return std::make_unique<WebpSink>(options);
}

}  // namespace t2v
