#include "video/write/movie_file.h"

#include <cerrno>
#include <limits>
#include <string_view>

#include "t2v/error.h"

namespace t2v {

namespace {

constexpr int io_buffer_bytes = 1 << 16;
constexpr int x265_reordering = 2;  // pictures, with the pyramid of B-frames that its presets have

int write_bytes(void* file, libav::WrittenBytes* data, int size) {
  const int error = static_cast<OutputFile*>(file)->try_write(data, static_cast<std::size_t>(size));
  return error == 0 ? size : AVERROR(error);
}

int64_t seek_bytes(void* file, int64_t offset, int whence) {
  if ((whence & AVSEEK_SIZE) != 0) return AVERROR(ENOSYS);
  const int64_t position = static_cast<OutputFile*>(file)->seek(offset, whence & ~AVSEEK_FORCE);
  return position < 0 ? AVERROR(errno) : position;
}

}  // namespace

MovieFile::MovieFile(const EncoderOptions& options) : file_(options.path) {
  packet_.reset(libav::allocated(av_packet_alloc()));
  open_container(options);
  open_codec(options);
  stream_ = libav::allocated(avformat_new_stream(container_.get(), nullptr));
  open_sound_stream(options);
  open_stream();
}

void MovieFile::encode(AVFrame& picture) {
  write_sound(static_cast<double>(frames_) * av_q2d(codec_->time_base));
  picture.pts = frames_++;
  pass(&picture);
}

void MovieFile::end() {
  if (frames_ == 0)
    throw Error(ErrorKind::internal, file_.name() + ": the video was finished without a frame");
  pass(nullptr);
  write_sound(std::numeric_limits<double>::max());
  check(av_write_trailer(container_.get()), "end of the file");
  avio_flush(io_.get());
  check(io_->error, "end of the file");
}

void MovieFile::open_container(const EncoderOptions& options) {
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
  container_->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;  // bit-exact: no creation time, no random
                                                                    // identifiers, no library version
  for (const auto& [key, value] : options.metadata)
    av_dict_set(&container_->metadata, key.c_str(), value.c_str(), 0);
}

void MovieFile::open_codec(const EncoderOptions& options) {
  const auto& codec = codec_of(options);
  libav::Dictionary settings;
  codec_ = make_codec_context(codec, options, settings);
  if ((container_->oformat->flags & AVFMT_GLOBALHEADER) != 0) codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  check(avcodec_open2(codec_.get(), codec_->codec, settings.address()), codec.title);
}

void MovieFile::open_sound_stream(const EncoderOptions& options) {
  sound_ = open_sound(options, *container_->oformat);
  if (!sound_) return;
  sound_stream_ = libav::allocated(avformat_new_stream(container_.get(), nullptr));
  check(avcodec_parameters_copy(sound_stream_->codecpar, &sound_->parameters()), "sound");
  sound_stream_->codecpar->codec_tag = 0;  // the other container's
  sound_stream_->time_base = sound_->time_base();
  if (!is_matroska()) return;
  // What comes before zero is the encoder's delay. libav would move the pictures with it.
  container_->avoid_negative_ts = 0;
}

void MovieFile::open_stream() {
  check(avcodec_parameters_from_context(stream_->codecpar, codec_.get()), "stream");
  stream_->time_base = codec_->time_base;
  stream_->avg_frame_rate = stream_->r_frame_rate = codec_->framerate;
  stream_->sample_aspect_ratio = codec_->sample_aspect_ratio;
  libav::Dictionary settings;
  const std::string_view format = container_->oformat->name;
  if (format == "mp4" || format == "mov") {
    // mdta tags hold any key; the index in front lets a player start before it has the whole file.
    settings.set("movflags", "+faststart+use_metadata_tags");
    // Apple's programs play HEVC under this tag alone.
    if (codec_->codec_id == AV_CODEC_ID_HEVC) stream_->codecpar->codec_tag = MKTAG('h', 'v', 'c', '1');
  }
  check(avformat_write_header(container_.get(), settings.address()), "header");
}

bool MovieFile::is_matroska() const {
  const std::string_view format = container_->oformat->name;
  return format == "matroska" || format == "webm";
}

// Of a packet of sound in Matroska, which knows no time before zero. Opus's times count from where a
// decoder's output begins, before what is heard; the delay of others is left out. From 6.0 on the muxer sees
// to both.
bool MovieFile::has_its_place() {
#if LIBAVFORMAT_VERSION_MAJOR < 60
  const auto& stored = sound_->parameters();
  if (stored.codec_id != AV_CODEC_ID_OPUS) return packet_->pts >= 0;
  const auto delay = av_rescale_q_rnd(stored.initial_padding, {1, 48000}, sound_->time_base(), AV_ROUND_UP);
  packet_->pts += delay;
  packet_->dts += delay;
#endif
  return true;
}

// The sound that is heard before the end of `until` seconds.
void MovieFile::write_sound(double until) {
  if (!sound_) return;
  while (sound_->next(*packet_, until)) {
    packet_->stream_index = sound_stream_->index;
    packet_->pos = -1;
    if (is_matroska() && !has_its_place()) continue;
    av_packet_rescale_ts(packet_.get(), sound_->time_base(), sound_stream_->time_base);
    check(av_interleaved_write_frame(container_.get(), packet_.get()), "sound");
    check(io_->error, "sound");
  }
}

// Sends one picture, or null to flush, and writes the packets that come out.
void MovieFile::pass(const AVFrame* picture) {
  check(avcodec_send_frame(codec_.get(), picture), "frame");
  for (;;) {
    const int result = avcodec_receive_packet(codec_.get(), packet_.get());
    if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return;
    check(result, "frame");
    packet_->stream_index = stream_->index;
    // x265 3.5 leaves decoding times uninitialised in a clip that is shorter than its reordering.
    if (codec_->codec_id == AV_CODEC_ID_HEVC) packet_->dts = packets_ - x265_reordering;
    ++packets_;
    packet_->duration = 1;  // every frame, the last one too: the stream lasts exactly frames / fps
    av_packet_rescale_ts(packet_.get(), codec_->time_base, stream_->time_base);
    check(av_interleaved_write_frame(container_.get(), packet_.get()), "frame");
    check(io_->error, "frame");
  }
}

void MovieFile::check(int result, const char* what) {
  if (result >= 0) return;
  if (file_.error() != 0) file_.fail(file_.error());
  const auto complaint = libav::complaint();
  if (libav::is_out_of_memory(result, complaint)) throw std::bad_alloc();
  throw Error(ErrorKind::output,
              file_.name() + ": " + what + " cannot be written: " + libav::error_text(result) + complaint);
}

}  // namespace t2v
