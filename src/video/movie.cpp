#include <cerrno>
#include <string>

#include "t2v/error.h"
#include "video/output_file.h"
#include "video/scaler.h"
#include "video/sinks.h"

namespace t2v {

namespace {

constexpr int io_buffer_bytes = 1 << 16;
// x264's output depends on the number of threads; a number of our own keeps it from depending on the machine.
constexpr int encoder_threads = 4;

int write_bytes(void* file, libav::WrittenBytes* data, int size) {
  const int error = static_cast<OutputFile*>(file)->try_write(data, static_cast<std::size_t>(size));
  return error == 0 ? size : AVERROR(error);
}

int64_t seek_bytes(void* file, int64_t offset, int whence) {
  if ((whence & AVSEEK_SIZE) != 0) return AVERROR(ENOSYS);
  const int64_t position = static_cast<OutputFile*>(file)->seek(offset, whence & ~AVSEEK_FORCE);
  return position < 0 ? AVERROR(errno) : position;
}

// Validate, open, encode, flush, trailer.
class MovieSink : public FrameSink {
 public:
  explicit MovieSink(const EncoderOptions& options) : file_(options.path) {
    packet_.reset(libav::allocated(av_packet_alloc()));
    open_container(options);
    open_codec(options);
    open_stream();
    const PictureFormat rgb{options.width, options.height};
    const PictureFormat yuv{options.width,   options.height, codec_->pix_fmt,
                            AVCOL_SPC_BT709, false,          codec_->chroma_sample_location};
    scaler_ = make_scaler(rgb, yuv, SWS_BILINEAR);
    rgb_ = make_picture(rgb);
    yuv_ = make_picture(yuv);
  }

  void write(const Frame& frame) override {
    require_size(frame, codec_->width, codec_->height);
    copy_to_picture(frame, *rgb_);
    check(av_frame_make_writable(yuv_.get()), "frame");
    scale(*scaler_, *rgb_, *yuv_);
    yuv_->pts = frames_++;
    encode(yuv_.get());
  }

  void finish() override {
    if (frames_ == 0)
      throw Error(ErrorKind::internal, file_.name() + ": the video was finished without a frame");
    encode(nullptr);
    check(av_write_trailer(container_.get()), "end of the file");
    avio_flush(io_.get());
    check(io_->error, "end of the file");
    file_.finish();
  }

 private:
  void open_container(const EncoderOptions& options) {
    auto* buffer = static_cast<unsigned char*>(libav::allocated(av_malloc(io_buffer_bytes)));
    io_.reset(libav::allocated(
        avio_alloc_context(buffer, io_buffer_bytes, 1, &file_, nullptr, write_bytes, seek_bytes)));
    // The name chooses the format. mp4's faststart also reads the file back by it: "file:" keeps any other
    // part of the name from being read as a protocol.
    const auto url = "file:" + file_.temporary_path();
    AVFormatContext* container = nullptr;
    const int result = avformat_alloc_output_context2(&container, nullptr, nullptr, url.c_str());
    container_.reset(container);
    check(result, "container");
    container_->pb = io_.get();
    container_->flags |= AVFMT_FLAG_CUSTOM_IO |
                         AVFMT_FLAG_BITEXACT;  // bit-exact: no creation time, no random identifiers, no
                                               // library version
    for (const auto& [key, value] : options.metadata)
      av_dict_set(&container_->metadata, key.c_str(), value.c_str(), 0);
  }

  void open_codec(const EncoderOptions& options) {
    const auto* x264 = avcodec_find_encoder_by_name("libx264");
    if (x264 == nullptr)
      throw Error(ErrorKind::output,
                  file_.name() + ": this FFmpeg was built without libx264; write .y4m or .png instead");
    codec_.reset(libav::allocated(avcodec_alloc_context3(x264)));
    codec_->width = options.width;
    codec_->height = options.height;
    codec_->pix_fmt = AV_PIX_FMT_YUV420P;
    codec_->time_base = {options.fps.denominator, options.fps.numerator};
    codec_->framerate = {options.fps.numerator, options.fps.denominator};
    codec_->sample_aspect_ratio = {1, 1};
    codec_->color_primaries = AVCOL_PRI_BT709;
    codec_->color_trc = AVCOL_TRC_BT709;
    codec_->colorspace = AVCOL_SPC_BT709;
    codec_->color_range = AVCOL_RANGE_MPEG;
    codec_->chroma_sample_location = AVCHROMA_LOC_LEFT;
    codec_->thread_count = encoder_threads;
    codec_->flags |= AV_CODEC_FLAG_BITEXACT;
    if ((container_->oformat->flags & AVFMT_GLOBALHEADER) != 0) codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    libav::Dictionary settings;
    settings.set("preset", "medium");
    settings.set("crf", std::to_string(options.crf));
    settings.set("x264-params", "cpu-independent=1");  // otherwise x264 picks other algorithms on other
                                                       // processors
    check(avcodec_open2(codec_.get(), x264, settings.address()), "H.264 encoder");
  }

  void open_stream() {
    stream_ = libav::allocated(avformat_new_stream(container_.get(), nullptr));
    check(avcodec_parameters_from_context(stream_->codecpar, codec_.get()), "stream");
    stream_->time_base = codec_->time_base;
    stream_->avg_frame_rate = stream_->r_frame_rate = codec_->framerate;
    stream_->sample_aspect_ratio = codec_->sample_aspect_ratio;
    libav::Dictionary settings;
    const std::string format = container_->oformat->name;
    // mdta tags hold any key; the index in front lets a player start before it has the whole file.
    if (format == "mp4" || format == "mov") settings.set("movflags", "+faststart+use_metadata_tags");
    check(avformat_write_header(container_.get(), settings.address()), "header");
  }

  // Sends one picture, or null to flush, and writes the packets that come out.
  void encode(const AVFrame* picture) {
    check(avcodec_send_frame(codec_.get(), picture), "frame");
    for (;;) {
      const int result = avcodec_receive_packet(codec_.get(), packet_.get());
      if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return;
      check(result, "frame");
      packet_->stream_index = stream_->index;
      packet_->duration = 1;  // every frame, the last one too: the stream lasts exactly frames / fps
      av_packet_rescale_ts(packet_.get(), codec_->time_base, stream_->time_base);
      check(av_interleaved_write_frame(container_.get(), packet_.get()), "frame");
      check(io_->error, "frame");
    }
  }

  void check(int result, const char* what) {
    if (result >= 0) return;
    if (file_.error() != 0) file_.fail(file_.error());
    const auto complaint = libav::complaint();
    if (libav::is_out_of_memory(result, complaint)) throw std::bad_alloc();
    throw Error(ErrorKind::output,
                file_.name() + ": " + what + " cannot be written: " + libav::error_text(result) + complaint);
  }

  // In this order: what is below uses what is above until it is gone.
  OutputFile file_;
  libav::Io io_;
  libav::OutputFormat container_;
  libav::CodecContext codec_;
  AVStream* stream_ = nullptr;  // the container's
  libav::Scaler scaler_;
  libav::Picture rgb_, yuv_;
  libav::Packet packet_;
  int64_t frames_ = 0;
};

}  // namespace

std::unique_ptr<FrameSink> open_movie(const EncoderOptions& options) {
  libav::prepare_library();
  return std::make_unique<MovieSink>(options);
}

}  // namespace t2v
