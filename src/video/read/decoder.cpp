#include "video/read/decoder.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "t2v/error.h"
#include "video/frame_rate.h"
#include "video/read/container.h"
#include "video/read/file_header.h"
#include "video/read/image_reader.h"
#include "video/read/input_file.h"
#include "video/read/picture_converter.h"
#include "video/read/webp_reader.h"
#include "video/write/output_name.h"

namespace t2v {

namespace {

constexpr std::size_t png_texts_bytes = std::size_t{1} << 20;  // of a file, that are searched for texts

bool is_still_image(const AVInputFormat& format) { return std::string_view(format.name).ends_with("_pipe"); }

std::map<std::string, std::string> to_map(const AVDictionary* dictionary, bool lower_case_keys) {
  std::map<std::string, std::string> entries;
  const AVDictionaryEntry* entry = nullptr;
  while ((entry = av_dict_get(dictionary, "", entry, AV_DICT_IGNORE_SUFFIX)) != nullptr) {
    std::string key = entry->key;
    if (lower_case_keys)
      std::transform(key.begin(), key.end(), key.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    entries[key] = entry->value;
  }
  return entries;
}

// For the rate: some minutes of a movie. Of the last few, others that are shown earlier may come later.
constexpr std::size_t pictures_looked_at = 10'000, pictures_out_of_order = 32;

constexpr double longest_still = 600;  // seconds; a picture that is to stay for longer is an error of the
                                       // clock

class LibavReader : public VideoReader {
 public:
  LibavReader(const std::filesystem::path& path, const DecoderLimits& limits)
      : name_(path.string()), limits_(limits), file_(path), converter_(limits) {
    packet_.reset(libav::allocated(av_packet_alloc()));
    picture_.reset(libav::allocated(av_frame_alloc()));
    libav::complaint();  // forget what an earlier file caused
    open_container();
    find_rate();
    open_codec();
    pending_ = decode();  // so that a file without a single good picture is refused here
    if (!pending_) fail("no picture could be decoded");
    describe();
  }

  const VideoInfo& info() const override { return info_; }

  // Each picture at its place in the constant rate. One that comes late is waited for with the one before it;
  // one whose place is taken is left out.
  std::optional<Frame> read() override {
    auto next = pending_ ? std::exchange(pending_, std::nullopt) : decode();
    if (!has_times_) return next;
    while (next && frame_at(next->time, info_.fps) < given_) {
      note_variable_rate();
      next = decode();
    }
    const auto place = frame_at(next ? next->time : end_, info_.fps);
    if (place > given_) {
      note_variable_rate();
      pending_ = std::move(next);
    } else if (next) {
      shown_ = std::move(*next);
    } else {
      return std::nullopt;
    }
    require_few_frames(given_ + 1);
    shown_.time = static_cast<double>(given_++) * info_.fps.denominator / info_.fps.numerator;
    return shown_;
  }

 private:
  void open_container() {
    container_ = t2v::open_container(file_, name_, {limits_.pixels_per_frame, !container_});
    const int index = av_find_best_stream(container_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, &decoder_, 0);
    if (index == AVERROR_STREAM_NOT_FOUND) fail("holds no pictures");
    check(index, "its pictures cannot be decoded by this FFmpeg");
    stream_ = container_->streams[index];
    if (static_cast<int64_t>(stream_->codecpar->width) * stream_->codecpar->height > limits_.pixels_per_frame)
      fail("its pictures have " + std::to_string(stream_->codecpar->width) + "x" +
           std::to_string(stream_->codecpar->height) + " pixels, more than the " +
           std::to_string(limits_.pixels_per_frame) + " allowed");
  }

  // The rate that the frames are given at. Where the pictures' times are known (not in AVI, MPEG program and
  // raw streams) they are held against it; afterwards the file stands at its beginning again.
  void find_rate() {
    if (is_still_image(*container_->iformat)) return;
    const auto rational = [](AVRational rate) { return Rational{rate.num, std::max(rate.den, 1)}; };
    const auto average = rational(stream_->avg_frame_rate), base = rational(stream_->r_frame_rate);
    const auto times = is_y4m() ? std::vector<double>() : picture_times();
    has_times_ = !times.empty();
    info_.fps = choose_rate(times, {average, base});
    if (info_.fps.numerator == 0) has_times_ = false;
    if (has_times_ && !is_constant(times, info_.fps)) note_variable_rate();
  }

  // When the first pictures begin, by the stream's packets: seconds, ascending. Empty when not all of them
  // say it.
  std::vector<double> picture_times() {
    std::vector<double> times;
    bool complete = true;
    while (times.size() < pictures_looked_at && av_read_frame(container_.get(), packet_.get()) >= 0) {
      // VP8 has pictures that are never shown.
      const bool shown = stream_->codecpar->codec_id != AV_CODEC_ID_VP8 || packet_->size == 0 ||
                         (packet_->data[0] & 0x10) != 0;
      if (packet_->stream_index == stream_->index && (packet_->flags & AV_PKT_FLAG_DISCARD) == 0 && shown) {
        complete = complete && packet_->pts != AV_NOPTS_VALUE;
        times.push_back(static_cast<double>(packet_->pts) * av_q2d(stream_->time_base));
      }
      av_packet_unref(packet_.get());
    }
    avio_seek(file_.io(), 0, SEEK_SET);
    open_container();
    std::sort(times.begin(), times.end());
    times.erase(std::unique(times.begin(), times.end()), times.end());
    if (times.size() > pictures_looked_at - pictures_out_of_order)
      times.resize(pictures_looked_at - pictures_out_of_order);
    return complete ? times : std::vector<double>();
  }

  void note_variable_rate() {
    if (!std::exchange(info_.constant_rate, false)) return;
    info_.notes.push_back(variable_rate_note(info_.fps));
  }

  void open_codec() {
    codec_.reset(libav::allocated(avcodec_alloc_context3(decoder_)));
    check(avcodec_parameters_to_context(codec_.get(), stream_->codecpar), "its pictures cannot be decoded");
    codec_->max_pixels = limits_.pixels_per_frame;
    codec_->pkt_timebase = stream_->time_base;
    // As many as there are processors: a decoder's output does not depend on it. libav 5.1 aborts where its
    // WebP decoder fails late in a thread of its own; a still image gains nothing from threads.
    codec_->thread_count = is_still_image(*container_->iformat) || codec_->codec_id == AV_CODEC_ID_WEBP ? 1
                                                                                                        : 0;
    codec_->err_recognition |= AV_EF_CRCCHECK;
    // A JPEG that was cut short is otherwise decoded with a grey rest. (For other formats this refuses good
    // files with unusual tags.)
    if (codec_->codec_id == AV_CODEC_ID_MJPEG) codec_->err_recognition |= AV_EF_EXPLODE;
    defaults_ = {is_y4m() && y4m_says_bt709(file_.beginning()), libav::display_matrix(*stream_)};
    check(avcodec_open2(codec_.get(), decoder_, nullptr), "its pictures cannot be decoded");
  }

  void describe() {
    info_.begins = begins_;
    info_.has_sound = av_find_best_stream(container_.get(), AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0) >= 0;
    if (stream_->nb_frames > 0) info_.frames = static_cast<long>(stream_->nb_frames);
    info_.codec = avcodec_get_name(codec_->codec_id);
    info_.container = container_->iformat->name;
    info_.pixel_format = av_get_pix_fmt_name(static_cast<AVPixelFormat>(picture_->format));
    const auto colours = colours_of(*picture_);
    info_.colour_space = av_color_space_name(colours.matrix);
    info_.colour_range = av_color_range_name(colours.range);
    info_.width = pending_->width;
    info_.height = pending_->height;
    // Matroska stores keys in capitals.
    info_.metadata = to_map(container_->metadata, info_.container.starts_with("matroska"));
    if (is_still_image(*container_->iformat)) info_.metadata.merge(to_map(picture_->metadata, false));
    if (codec_->codec_id == AV_CODEC_ID_WEBP) info_.metadata.merge(webp_metadata(file_));
    if (codec_->codec_id == AV_CODEC_ID_PNG)
      info_.metadata.merge(png_utf8_texts(file_.beginning(png_texts_bytes)));
  }

  // The next picture, as it is shown.
  std::optional<Frame> decode() {
    if (!receive_picture()) return std::nullopt;
    require_few_frames(++pictures_);
    if (picture_->decode_error_flags != 0 || (picture_->flags & AV_FRAME_FLAG_CORRUPT) != 0)
      fail(frame_text() + " is damaged");
    const auto shape = av_guess_sample_aspect_ratio(container_.get(), stream_, picture_.get());
    try {
      auto frame = converter_.convert(*picture_, shape, defaults_, info_.notes);
      frame.time = time_of_picture();
      return frame;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::bad_input) throw;
      fail(error.what());
    }
  }

  // Seconds after the first picture; moves end_. Where the clock is set back or leaps, as where
  // recordings were joined, it goes on with the next frame.
  double time_of_picture() {
    const double period = info_.fps.numerator > 0
                              ? static_cast<double>(info_.fps.denominator) / info_.fps.numerator
                              : 0;
    const double base = av_q2d(stream_->time_base);
    const auto stamp = picture_->best_effort_timestamp;
    double time = pictures_ == 1 ? 0 : last_time_ + period;
    if (pictures_ == 1 && stamp != AV_NOPTS_VALUE) begins_ = static_cast<double>(stamp) * base;
    if (has_times_ && stamp != AV_NOPTS_VALUE) {
      const double stamped = static_cast<double>(stamp) * base;
      const double passed = stamped - start_ - last_time_;
      if (pictures_ == 1 || passed <= 0 || passed > longest_still) start_ = stamped - time;
      time = stamped - start_;
    }
    end_ = time + std::clamp(static_cast<double>(libav::duration(*picture_)) * base, period,
                             std::max(period, longest_still));
    return last_time_ = time;
  }

  void require_few_frames(long frames) const {
    if (frames > limits_.frames) fail("has more than " + std::to_string(limits_.frames) + " frames");
  }

  bool receive_picture() {
    for (;;) {
      const int result = avcodec_receive_frame(codec_.get(), picture_.get());
      if (result == AVERROR_EOF) return false;
      if (result >= 0) return true;
      if (result != AVERROR(EAGAIN)) check(result, frame_text() + " cannot be decoded");
      send_packet();
    }
  }

  // Hands the decoder the stream's next packet, or tells it that there is none.
  void send_packet() {
    for (;;) {
      av_packet_unref(packet_.get());
      const int result = av_read_frame(container_.get(), packet_.get());
      if (result == AVERROR_EOF) {
        require_whole_y4m();
        check(avcodec_send_packet(codec_.get(), nullptr), "its end cannot be decoded");
        return;
      }
      check(result, "is damaged or cut short after " + std::to_string(pictures_) + " frames");
      if (packet_->stream_index != stream_->index) continue;
      if ((packet_->flags & AV_PKT_FLAG_CORRUPT) != 0)
        fail("is damaged or cut short after " + std::to_string(pictures_) + " frames" + libav::complaint());
      last_byte_ = packet_->pos >= 0 ? packet_->pos + packet_->size : -1;
      check(avcodec_send_packet(codec_.get(), packet_.get()), frame_text() + " cannot be decoded");
      return;
    }
  }

  // libav drops the incomplete last frame of a y4m file in silence.
  void require_whole_y4m() const {
    if (is_y4m() && last_byte_ != file_.size())
      fail("is shorter than it says: its last frame is incomplete, after " + std::to_string(pictures_) +
           " whole ones");
  }

  bool is_y4m() const { return std::string_view(container_->iformat->name) == "yuv4mpegpipe"; }

  std::string frame_text() const { return "frame " + std::to_string(pictures_); }

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorKind::bad_input, name_ + ": " + why);
  }

  void check(int result, const std::string& what) const {
    if (result < 0) fail(what + ": " + libav::error_text(result) + libav::complaint());
  }

  std::string name_;
  DecoderLimits limits_;
  VideoInfo info_;
  InputFile file_;
  libav::InputFormat container_;  // uses file_
  AVStream* stream_ = nullptr;    // the container's
  libav::CodecContext codec_;
  const AVCodec* decoder_ = nullptr;
  libav::Packet packet_;
  libav::Picture picture_;
  PictureConverter converter_;
  PictureDefaults defaults_;
  bool has_times_ = false;
  double start_ = 0, last_time_ = 0, end_ = 0;  // of the pictures, seconds; start_ by the file's clock
  double begins_ = 0;                           // the first picture, by the file's clock
  long pictures_ = 0;                           // decoded so far
  long given_ = 0;                              // frames given by read()
  int64_t last_byte_ = -1;                      // where the last packet ended in the file
  std::optional<Frame> pending_;                // decoded, not given yet
  Frame shown_;                                 // given last
};

}  // namespace

std::unique_ptr<VideoReader> open_video(const std::filesystem::path& path, const DecoderLimits& limits) {
  libav::prepare_library();
  std::error_code absent;
  if (const auto pattern = parse_image_pattern(path); pattern && !std::filesystem::exists(path, absent))
    return open_image_sequence(*pattern, limits);
  if (is_animated_webp(InputFile(path))) return open_animated_webp(path, limits);
  return std::make_unique<LibavReader>(path, limits);
}

}  // namespace t2v
