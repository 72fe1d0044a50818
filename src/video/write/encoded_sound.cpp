#include "video/write/encoded_sound.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "t2v/error.h"
#include "video/read/sound_reader.h"

namespace t2v {

namespace {

// What the encoder takes.
struct SoundFormat {
  AVSampleFormat samples;
  int rate;
  AVChannelLayout channels;
};

std::string text_of(const AVChannelLayout& channels) {
  std::array<char, 128> text{};
  av_channel_layout_describe(&channels, text.data(), text.size());
  return text.data();
}

AVChannelLayout usual_channels(int count) {
  AVChannelLayout channels;
  av_channel_layout_default(&channels, count);
  return channels;
}

// One file's sound in the encoder's format.
class DecodedSound {
 public:
  DecodedSound(const SoundPart& part, const SoundFormat& format)
      : reader_(part.source), begins_(part.begins), format_(format) {
    const auto* decoder = avcodec_find_decoder(reader_.parameters().codec_id);
    codec_.reset(libav::allocated(avcodec_alloc_context3(decoder)));
    codec_->flags |= AV_CODEC_FLAG_BITEXACT;
    codec_->thread_count = 1;
    codec_->pkt_timebase = reader_.time_base();
    ended_ = avcodec_parameters_to_context(codec_.get(), &reader_.parameters()) < 0 ||
             avcodec_open2(codec_.get(), decoder, nullptr) < 0;
    packet_.reset(libav::allocated(av_packet_alloc()));
    decoded_.reset(libav::allocated(av_frame_alloc()));
  }

  // The next samples, and in pts the place of the first, counted from the file's first picture. False at the
  // end.
  bool next(AVFrame& samples) {
    for (;;) {
      av_frame_unref(&samples);
      if (converter_ && av_buffersink_get_frame(sink_, &samples) >= 0) {
        samples.pts = av_rescale_q(samples.pts, av_buffersink_get_time_base(sink_), {1, format_.rate});
        return true;
      }
      if (ended_) return false;
      if (!decode()) {
        ended_ = true;
        if (converter_ && av_buffersrc_add_frame(source_, nullptr) < 0) return false;
      }
    }
  }

 private:
  // Hands the next decoded samples to the converter. False at the end.
  bool decode() {
    for (;;) {
      const int result = avcodec_receive_frame(codec_.get(), decoded_.get());
      if (result == AVERROR(EAGAIN)) {
        if (reader_.read(*packet_))
          avcodec_send_packet(codec_.get(), packet_.get());  // one that is damaged leaves a gap
        else if (avcodec_send_packet(codec_.get(), nullptr) < 0)
          return false;
        continue;
      }
      if (result < 0) return false;
      if (decoded_->sample_rate <= 0 || decoded_->nb_samples <= 0) continue;
      if (decoded_->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&decoded_->ch_layout, decoded_->ch_layout.nb_channels);
      // Counted in samples from the first picture.
      const auto stamp = decoded_->best_effort_timestamp;
      const double time = static_cast<double>(stamp) * av_q2d(reader_.time_base()) - begins_;
      decoded_->pts = stamp == AV_NOPTS_VALUE ? next_ : std::llround(time * decoded_->sample_rate);
      next_ = decoded_->pts + decoded_->nb_samples;
      if (!converter_ || !is_as_before()) make_converter();
      if (converter_ && av_buffersrc_add_frame(source_, decoded_.get()) >= 0) return true;
    }
  }

  bool is_as_before() const {
    return decoded_->sample_rate == rate_ && decoded_->format == samples_ &&
           text_of(decoded_->ch_layout) == channels_;
  }

  // Null where libav cannot convert it.
  void make_converter() {
    rate_ = decoded_->sample_rate;
    samples_ = decoded_->format;
    channels_ = text_of(decoded_->ch_layout);
    converter_.reset(libav::allocated(avfilter_graph_alloc()));
    converter_->nb_threads = 1;
    const auto name = [](int format) {
      return std::string(av_get_sample_fmt_name(static_cast<AVSampleFormat>(format)));
    };
    const auto description = "abuffer@in=time_base=1/" + std::to_string(rate_) +
                             ":sample_rate=" + std::to_string(rate_) + ":sample_fmt=" + name(samples_) +
                             ":channel_layout=" + channels_ +
                             ",aformat=sample_fmts=" + name(format_.samples) +
                             ":sample_rates=" + std::to_string(format_.rate) +
                             ":channel_layouts=" + text_of(format_.channels) + ",abuffersink@out";
    AVFilterInOut *inputs = nullptr, *outputs = nullptr;
    const int parsed = avfilter_graph_parse2(converter_.get(), description.c_str(), &inputs, &outputs);
    avfilter_inout_free(&inputs);
    avfilter_inout_free(&outputs);
    if (parsed < 0 || avfilter_graph_config(converter_.get(), nullptr) < 0) return converter_.reset();
    source_ = avfilter_graph_get_filter(converter_.get(), "abuffer@in");
    sink_ = avfilter_graph_get_filter(converter_.get(), "abuffersink@out");
  }

  SoundReader reader_;
  double begins_;
  SoundFormat format_;
  libav::CodecContext codec_;
  libav::Packet packet_;
  libav::Picture decoded_;
  libav::FilterGraph converter_;
  AVFilterContext *source_ = nullptr, *sink_ = nullptr;  // the converter's
  int rate_ = 0, samples_ = -1;                          // what it was made for
  std::string channels_;
  int64_t next_ = 0;
  bool ended_ = false;
};

class EncodedSound : public SoundTrack {
 public:
  EncodedSound(const std::vector<SoundPart>& parts, const std::string& encoder, const std::string& path,
               const AVOutputFormat& container)
      : parts_(parts), path_(path) {
    format_ = format_for(encoder);
    open_codec(*avcodec_find_encoder_by_name(encoder.c_str()), container);
    parameters_.reset(libav::allocated(avcodec_parameters_alloc()));
    check(avcodec_parameters_from_context(parameters_.get(), codec_.get()));
    queue_.reset(
        libav::allocated(av_audio_fifo_alloc(format_.samples, format_.channels.nb_channels, 1 << 12)));
    converted_.reset(libav::allocated(av_frame_alloc()));
  }

  const AVCodecParameters& parameters() const override { return *parameters_; }
  AVRational time_base() const override { return {1, format_.rate}; }

  bool next(AVPacket& packet, double until) override {
    for (;;) {
      const int result = avcodec_receive_packet(codec_.get(), &packet);
      if (result >= 0) return true;
      if (result == AVERROR_EOF) return false;
      if (result != AVERROR(EAGAIN)) check(result);
      if (static_cast<double>(encoded_) > until * format_.rate) return false;
      encode();
    }
  }

 private:
  SoundFormat format_for(const std::string& encoder) const {
    constexpr std::array aac_rates{96000, 88200, 64000, 48000, 44100, 32000,
                                   24000, 22050, 16000, 12000, 11025, 8000};
    const SoundReader first(parts_.front().source);
    const int rate = first.parameters().sample_rate;
    SoundFormat format{AV_SAMPLE_FMT_S16, 48000, {}};
    if (encoder == "aac") format.samples = AV_SAMPLE_FMT_FLTP;
    if (encoder == "libopus") format.samples = AV_SAMPLE_FMT_FLT;
    if (encoder == "aac" ? std::find(aac_rates.begin(), aac_rates.end(), rate) != aac_rates.end()
                         : encoder != "libopus" && rate > 0)
      format.rate = rate;
    int most = 1;
    for (const auto& part : parts_)
      most = std::max(most, SoundReader(part.source).parameters().ch_layout.nb_channels);
    format.channels = usual_channels(most <= 6 ? most : 2);
    return format;
  }

  void open_codec(const AVCodec& encoder, const AVOutputFormat& container) {
    constexpr int64_t bits_per_channel = 96'000;
    codec_.reset(libav::allocated(avcodec_alloc_context3(&encoder)));
    codec_->sample_fmt = format_.samples;
    codec_->sample_rate = format_.rate;
    check(av_channel_layout_copy(&codec_->ch_layout, &format_.channels));
    codec_->time_base = {1, format_.rate};
    codec_->bit_rate = bits_per_channel * format_.channels.nb_channels;
    codec_->thread_count = 1;
    codec_->flags |= AV_CODEC_FLAG_BITEXACT;
    if ((container.flags & AVFMT_GLOBALHEADER) != 0) codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    check(avcodec_open2(codec_.get(), &encoder, nullptr));
  }

  // The next samples, or the end, to the encoder.
  void encode() {
    const int wanted = codec_->frame_size > 0 ? codec_->frame_size : 1024;
    while (av_audio_fifo_size(queue_.get()) < wanted && take()) {
    }
    const int count = std::min(wanted, av_audio_fifo_size(queue_.get()));
    if (count == 0) return check(avcodec_send_frame(codec_.get(), nullptr));
    const auto samples = make_frame(count);
    check(av_audio_fifo_read(queue_.get(), reinterpret_cast<void**>(samples->extended_data), count));
    samples->pts = encoded_;
    encoded_ += count;
    check(avcodec_send_frame(codec_.get(), samples.get()));
  }

  // More samples into the queue. False when no part is left.
  bool take() {
    if (part_ == parts_.size()) return false;
    const auto& part = parts_[part_];
    const auto begin = place_of(part.at), end = place_of(part.at + part.seconds);
    if (!source_) {
      source_ = std::make_unique<DecodedSound>(part, format_);
      follows_ = false;
    }
    if (queued_ >= end || !source_->next(*converted_)) {
      source_.reset();
      ++part_;
      return true;
    }
    // A file's clock may be coarse: what is as good as in its place follows what is before it.
    auto at = begin + converted_->pts;
    if (follows_ && std::abs(at - queued_) < format_.rate / 20) at = queued_;
    const auto from = std::max(at, std::max(begin, queued_));
    const auto to = std::min(end, at + converted_->nb_samples);
    if (to <= from) return true;
    for (auto silent = from - queued_; silent > 0; silent = from - queued_)
      put_silence(static_cast<int>(std::min<int64_t>(silent, 4096)));
    put(*converted_, static_cast<int>(from - at), static_cast<int>(to - from));
    follows_ = true;
    return true;
  }

  int64_t place_of(double seconds) const { return std::llround(seconds * format_.rate); }

  libav::Picture make_frame(int count) const {
    libav::Picture frame(libav::allocated(av_frame_alloc()));
    frame->nb_samples = count;
    frame->format = format_.samples;
    frame->sample_rate = format_.rate;
    check(av_channel_layout_copy(&frame->ch_layout, &format_.channels));
    check(av_frame_get_buffer(frame.get(), 0));
    return frame;
  }

  void put_silence(int count) {
    const auto frame = make_frame(count);
    av_samples_set_silence(frame->extended_data, 0, count, format_.channels.nb_channels, format_.samples);
    put(*frame, 0, count);
  }

  void put(const AVFrame& frame, int from, int count) {
    const bool is_planar = av_sample_fmt_is_planar(format_.samples) != 0;
    const int channels = format_.channels.nb_channels;
    const auto offset = static_cast<std::ptrdiff_t>(from) * av_get_bytes_per_sample(format_.samples) *
                        (is_planar ? 1 : channels);
    std::vector<void*> planes;
    for (int plane = 0; plane < (is_planar ? channels : 1); ++plane)
      planes.push_back(frame.extended_data[plane] + offset);
    check(av_audio_fifo_write(queue_.get(), planes.data(), count));
    queued_ += count;
  }

  void check(int result) const {
    if (result >= 0) return;
    if (result == AVERROR(ENOMEM)) throw std::bad_alloc();
    throw Error(ErrorKind::output,
                path_ + ": its sound cannot be encoded: " + libav::error_text(result) + libav::complaint());
  }

  std::vector<SoundPart> parts_;
  std::string path_;
  SoundFormat format_{};
  libav::CodecContext codec_;
  libav::CodecParameters parameters_;
  libav::SampleQueue queue_;
  std::unique_ptr<DecodedSound> source_;  // of parts_[part_]
  std::size_t part_ = 0;
  bool follows_ = false;  // something of it is in the queue
  libav::Picture converted_;
  int64_t queued_ = 0, encoded_ = 0;  // samples so far
};

}  // namespace

std::unique_ptr<SoundTrack> open_encoded_sound(const std::vector<SoundPart>& parts,
                                               const std::string& encoder, const std::string& path,
                                               const AVOutputFormat& container) {
  return std::make_unique<EncodedSound>(parts, encoder, path, container);
}

}  // namespace t2v
