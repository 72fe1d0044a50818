#include "video/decoder.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstring>
#include <string_view>

#include "t2v/error.h"
#include "video/file_header.h"
#include "video/image_reader.h"
#include "video/input_file.h"
#include "video/output_name.h"
#include "video/scaler.h"

namespace t2v {

namespace {

// Formats that say which other files to read, or that turn any text into pictures. libav is also kept from
// opening anything beside the file itself.
constexpr std::array<std::string_view, 9> refused_formats{"concat", "dash", "hls", "imf",        "lavfi",
                                                          "sdp",    "rtsp", "tty", "vapoursynth"};

constexpr std::size_t png_texts_bytes = std::size_t{1} << 20;  // of a file, that are searched for texts

int refuse_to_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
  return AVERROR(EPERM);
}

bool is_still_image(const AVInputFormat& format) { return std::string_view(format.name).ends_with("_pipe"); }

// libav fills these fields with numbers of the file, some of which are none of their enum's values; in C++
// reading such a one is undefined.
template <typename Enum>
void drop_unknown(Enum& field, Enum end, Enum unspecified) {
  static_assert(sizeof field == sizeof(int));
  int number = 0;
  std::memcpy(&number, &field, sizeof number);
  if (number < 0 || number >= end) field = unspecified;
}

void drop_unknown_colours(AVFrame& picture) {
  drop_unknown(picture.colorspace, AVCOL_SPC_NB, AVCOL_SPC_UNSPECIFIED);
  drop_unknown(picture.color_range, AVCOL_RANGE_NB, AVCOL_RANGE_UNSPECIFIED);
  drop_unknown(picture.chroma_location, AVCHROMA_LOC_NB, AVCHROMA_LOC_UNSPECIFIED);
}

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

// Clockwise quarter turns that make the picture upright; 0 for anything that is not a plain rotation.
int quarter_turns(const AVStream& stream) {
  const auto* matrix = libav::display_matrix(stream);
  if (matrix == nullptr) return 0;
  const double degrees = -av_display_rotation_get(matrix);
  const double determinant = static_cast<double>(matrix[0]) * matrix[4] -
                             static_cast<double>(matrix[1]) * matrix[3];
  if (std::isnan(degrees) || determinant <= 0 || std::abs(std::remainder(degrees, 90.0)) > 0.5) return 0;
  return (static_cast<int>(std::lround(degrees / 90)) % 4 + 4) % 4;
}

Frame turned(const Frame& frame, int turns) {
  if (turns == 0) return frame;
  Frame out{turns == 2 ? frame.width : frame.height, turns == 2 ? frame.height : frame.width,
            std::vector<uint8_t>(frame.rgb.size())};
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) {
      const int from_x = turns == 1 ? y : turns == 2 ? frame.width - 1 - x : frame.width - 1 - y;
      const int from_y = turns == 1 ? frame.height - 1 - x : turns == 2 ? frame.height - 1 - y : x;
      const auto* from = frame.rgb.data() + (static_cast<std::size_t>(from_y) * frame.width + from_x) * 3;
      std::copy_n(from, 3, out.rgb.data() + (static_cast<std::size_t>(y) * out.width + x) * 3);
    }
  return out;
}

class LibavReader : public VideoReader {
 public:
  LibavReader(const std::filesystem::path& path, const DecoderLimits& limits)
      : name_(path.string()), limits_(limits), file_(path) {
    packet_.reset(libav::allocated(av_packet_alloc()));
    picture_.reset(libav::allocated(av_frame_alloc()));
    libav::complaint();  // forget what an earlier file caused
    open_container();
    open_codec();
    first_ = decode();  // so that a file without a single good picture is refused here
    if (!first_) fail("no picture could be decoded");
    describe();
  }

  const VideoInfo& info() const override { return info_; }

  std::optional<Frame> read() override {
    if (first_) return std::exchange(first_, std::nullopt);
    return decode();
  }

 private:
  void open_container() {
    const AVInputFormat* format = nullptr;
    // Without a name libav goes by the contents alone.
    check(av_probe_input_buffer2(file_.io(), &format, "", nullptr, 0, 0),
          "not a video or image that FFmpeg knows");
    if (std::find(refused_formats.begin(), refused_formats.end(), std::string_view(format->name)) !=
        refused_formats.end())
      fail(std::string("a file of the kind '") + format->name +
           "' may name other files and is not read; give the video itself");
    if (const auto expected = matroska_file_size(file_.beginning()); expected && *expected > file_.size())
      fail("is cut short: it has " + std::to_string(file_.size()) + " of " + std::to_string(*expected) +
           " bytes");
    AVFormatContext* container = libav::allocated(avformat_alloc_context());
    container->pb = file_.io();
    container->io_open = refuse_to_open;
    libav::Dictionary settings;
    settings.set("protocol_whitelist", "none");
    const int result = avformat_open_input(&container, "", format,
                                           settings.address());  // frees the container when it fails
    container_.reset(result < 0 ? nullptr : container);
    check(result, "cannot be opened");
    // The streams' decoders run here already, so they must know the cap.
    std::vector<AVDictionary*> codec_settings(container_->nb_streams, nullptr);
    for (auto& entry : codec_settings) av_dict_set_int(&entry, "max_pixels", limits_.pixels_per_frame, 0);
    const int found = avformat_find_stream_info(container_.get(), codec_settings.data());
    for (auto& entry : codec_settings) av_dict_free(&entry);
    check(found, "its streams cannot be read");
  }

  void open_codec() {
    const AVCodec* codec = nullptr;
    const int index = av_find_best_stream(container_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (index == AVERROR_STREAM_NOT_FOUND) fail("holds no pictures");
    check(index, "its pictures cannot be decoded by this FFmpeg");
    stream_ = container_->streams[index];
    require_few_pixels(stream_->codecpar->width, stream_->codecpar->height);
    codec_.reset(libav::allocated(avcodec_alloc_context3(codec)));
    check(avcodec_parameters_to_context(codec_.get(), stream_->codecpar), "its pictures cannot be decoded");
    codec_->max_pixels = limits_.pixels_per_frame;
    codec_->pkt_timebase = stream_->time_base;
    codec_->thread_count = 0;  // as many as there are processors: a decoder's output does not depend on it
    codec_->err_recognition |= AV_EF_CRCCHECK;
    // A JPEG that was cut short is otherwise decoded with a grey rest. (For other formats this refuses good
    // files with unusual tags.)
    if (codec_->codec_id == AV_CODEC_ID_MJPEG) codec_->err_recognition |= AV_EF_EXPLODE;
    check(avcodec_open2(codec_.get(), codec, nullptr), "its pictures cannot be decoded");
    turns_ = quarter_turns(*stream_);
  }

  void describe() {
    const bool still = is_still_image(*container_->iformat);
    const auto rate = stream_->avg_frame_rate.num > 0 ? stream_->avg_frame_rate : stream_->r_frame_rate;
    if (!still && rate.num > 0 && rate.den > 0) info_.fps = {rate.num, rate.den};
    if (stream_->nb_frames > 0) info_.frames = static_cast<long>(stream_->nb_frames);
    info_.codec = avcodec_get_name(codec_->codec_id);
    info_.container = container_->iformat->name;
    // Matroska stores keys in capitals.
    info_.metadata = to_map(container_->metadata, info_.container.starts_with("matroska"));
    if (still) info_.metadata.merge(to_map(picture_->metadata, false));
    if (codec_->codec_id == AV_CODEC_ID_PNG)
      info_.metadata.merge(png_utf8_texts(file_.beginning(png_texts_bytes)));
  }

  // The next picture as RGB.
  std::optional<Frame> decode() {
    if (!receive_picture()) return std::nullopt;
    if (++frames_ > limits_.frames) fail("has more than " + std::to_string(limits_.frames) + " frames");
    require_few_pixels(picture_->width, picture_->height);
    if (picture_->decode_error_flags != 0 || (picture_->flags & AV_FRAME_FLAG_CORRUPT) != 0)
      fail(frame_text() + " is damaged");
    prepare_scaler();
    scale(*scaler_, *picture_, *rgb_);
    return turned(copy_to_frame(*rgb_), turns_);
  }

  bool receive_picture() {
    for (;;) {
      const int result = avcodec_receive_frame(codec_.get(), picture_.get());
      if (result == AVERROR_EOF) return false;
      if (result >= 0) {
        drop_unknown_colours(*picture_);
        return true;
      }
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
      check(result, "is damaged or cut short after " + std::to_string(frames_) + " frames");
      if (packet_->stream_index != stream_->index) continue;
      if ((packet_->flags & AV_PKT_FLAG_CORRUPT) != 0)
        fail("is damaged or cut short after " + std::to_string(frames_) + " frames" + libav::complaint());
      last_byte_ = packet_->pos >= 0 ? packet_->pos + packet_->size : -1;
      check(avcodec_send_packet(codec_.get(), packet_.get()), frame_text() + " cannot be decoded");
      return;
    }
  }

  // libav drops the incomplete last frame of a y4m file in silence.
  void require_whole_y4m() const {
    if (is_y4m() && last_byte_ != file_.size())
      fail("is cut short after " + std::to_string(frames_) + " frames: its last one is incomplete");
  }

  bool is_y4m() const { return std::string_view(container_->iformat->name) == "yuv4mpegpipe"; }

  AVColorSpace matrix_of(const AVFrame& picture) const {
    if (picture.colorspace == AVCOL_SPC_YCGCO)
      fail("its colour matrix, YCgCo, is not supported; convert it to BT.709 first");
    if (picture.colorspace != AVCOL_SPC_UNSPECIFIED && picture.colorspace != AVCOL_SPC_RESERVED)
      return picture.colorspace;
    const bool says_bt709 = is_y4m() && y4m_says_bt709(file_.beginning());
    return says_bt709 || picture.height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
  }

  // The scaler follows the first picture; libav lets a stream change its size on the way, a clip may not.
  void prepare_scaler() {
    const auto size_text = [](int width, int height) {
      return std::to_string(width) + "x" + std::to_string(height);
    };
    const auto pixels = static_cast<AVPixelFormat>(picture_->format);
    if (scaler_ && picture_->width == format_.width && picture_->height == format_.height &&
        pixels == format_.pixels)
      return;
    if (scaler_)
      fail(frame_text() + " is " + size_text(picture_->width, picture_->height) + " " +
           av_get_pix_fmt_name(pixels) + ", the frames before it are " +
           size_text(format_.width, format_.height) + " " + av_get_pix_fmt_name(format_.pixels));
    const bool full_range = picture_->color_range == AVCOL_RANGE_JPEG ||
                            std::string_view(av_get_pix_fmt_name(pixels)).starts_with("yuvj");
    format_ = {picture_->width,      picture_->height, pixels,
               matrix_of(*picture_), full_range,       picture_->chroma_location};
    const PictureFormat rgb{format_.width, format_.height, AV_PIX_FMT_RGB24,
                            format_.matrix};  // swscale goes through YUV from some kinds of RGB too
    try {
      scaler_ = make_scaler(format_, rgb, SWS_BILINEAR);
    } catch (const Error& error) {
      fail(error.what());
    }
    rgb_ = make_picture(rgb);
    info_.width = turns_ % 2 == 0 ? format_.width : format_.height;
    info_.height = turns_ % 2 == 0 ? format_.height : format_.width;
    info_.pixel_format = av_get_pix_fmt_name(pixels);
    info_.colour_space = av_color_space_name(picture_->colorspace);
    info_.colour_range = av_color_range_name(picture_->color_range);
  }

  void require_few_pixels(int width, int height) const {
    if (static_cast<int64_t>(width) * height > limits_.pixels_per_frame)
      fail("its pictures have " + std::to_string(width) + "x" + std::to_string(height) +
           " pixels, more than the " + std::to_string(limits_.pixels_per_frame) + " allowed");
  }

  std::string frame_text() const { return "frame " + std::to_string(frames_); }

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
  libav::Packet packet_;
  libav::Picture picture_, rgb_;
  libav::Scaler scaler_;
  PictureFormat format_;  // of the pictures
  int turns_ = 0;
  long frames_ = 0;         // decoded so far
  int64_t last_byte_ = -1;  // where the last packet ended in the file
  std::optional<Frame> first_;
};

}  // namespace

std::unique_ptr<VideoReader> open_video(const std::filesystem::path& path, const DecoderLimits& limits) {
  libav::prepare_library();
  std::error_code absent;
  if (const auto pattern = parse_image_pattern(path); pattern && !std::filesystem::exists(path, absent))
    return open_image_sequence(*pattern, limits);
  return std::make_unique<LibavReader>(path, limits);
}

}  // namespace t2v
