#include "video/read/webp_reader.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

#include "t2v/error.h"
#include "video/frame_rate.h"
#include "video/read/picture_converter.h"
#include "video/scaler.h"
#include "video/write/webp_file.h"

namespace t2v {

namespace {

constexpr int64_t riff_header = 12, chunk_header = 8;
constexpr std::size_t picture_header = 16;  // of an ANMF chunk
constexpr std::size_t most_xmp = std::size_t{1} << 20;
constexpr uint8_t flag_animated = 2, flag_alpha = 16, flag_dispose = 1, flag_no_blend = 2;

struct Chunk {
  std::string name;
  int64_t at = 0, size = 0;  // of its bytes, as far as the file has them
};

std::vector<Chunk> chunks_of(const InputFile& file) {
  std::vector<Chunk> chunks;
  for (auto at = riff_header; at + chunk_header <= file.size();) {
    const auto header = file.bytes(at, static_cast<std::size_t>(chunk_header));
    if (header.size() < static_cast<std::size_t>(chunk_header)) break;
    const int64_t size = little_endian(header, 4, 4);
    at += chunk_header;
    chunks.push_back({header.substr(0, 4), at, std::min(size, file.size() - at)});
    at += size + size % 2;
  }
  return chunks;
}

// What an ANMF chunk says of its picture.
struct Placed {
  int x = 0, y = 0, width = 0, height = 0;
  double seconds = 0;
  bool dispose = false, blend = true;
};

Placed placed_of(std::string_view header) {
  const auto number = [&](std::size_t at) { return static_cast<int>(little_endian(header, at, 3)); };
  const auto flags = static_cast<uint8_t>(header[15]);
  return {2 * number(0),
          2 * number(3),
          1 + number(6),
          1 + number(9),
          number(12) / 1000.0,
          (flags & flag_dispose) != 0,
          (flags & flag_no_blend) == 0};
}

// The chunks within an ANMF chunk as a file of one picture.
std::string still_of(std::string_view chunks, const Placed& placed) {
  std::string body, alpha;
  while (chunks.size() >= static_cast<std::size_t>(chunk_header)) {
    const std::size_t size = little_endian(chunks, 4, 4);
    const auto name = chunks.substr(0, 4);
    chunks.remove_prefix(static_cast<std::size_t>(chunk_header));
    const auto bytes = chunks.substr(0, std::min(size, chunks.size()));
    if (name == "ALPH") alpha = riff_chunk(name, bytes);
    if (name == "VP8 " || name == "VP8L") body = riff_chunk(name, bytes);
    chunks.remove_prefix(std::min(size + size % 2, chunks.size()));
  }
  if (!alpha.empty()) {
    std::string header{static_cast<char>(flag_alpha), 0, 0, 0};
    append_little_endian(header, static_cast<uint64_t>(placed.width - 1), 3);
    append_little_endian(header, static_cast<uint64_t>(placed.height - 1), 3);
    body = riff_chunk("VP8X", header) + alpha + body;
  }
  return riff_chunk("RIFF", "WEBP" + body);
}

// The lowest rate of which all these times are frames, but for less than the millisecond that the file
// counts in. Pictures that are alike are often stored as one.
std::optional<Rational> rate_in_milliseconds(std::vector<double> times, double end) {
  times.push_back(end);
  std::vector<Rational> rates;
  for (int fps = 1; fps <= 60; ++fps) rates.push_back({fps, 1});
  for (const int fps : {24, 30, 60}) rates.push_back({fps * 1000, 1001});
  for (const auto& rate : rates) {
    const auto is_frame = [&](double time) {
      const double nearest = static_cast<double>(frame_at(time, rate)) * rate.denominator / rate.numerator;
      return std::abs(time - nearest) < 0.00101;
    };
    const auto same_frame = [&](double a, double b) { return frame_at(a, rate) == frame_at(b, rate); };
    if (std::all_of(times.begin(), times.end(), is_frame) &&
        std::adjacent_find(times.begin(), times.end(), same_frame) == times.end()) {
      int64_t step = 0;  // in frames: 2 where half of the rate would do
      for (const double time : times) step = std::gcd(step, frame_at(time, rate));
      return Rational{rate.numerator, rate.denominator * static_cast<int>(std::max<int64_t>(step, 1))};
    }
  }
  return std::nullopt;
}

// Source over destination, alpha not multiplied in.
void blend(const uint8_t* from, uint8_t* to) {
  const int over = from[3], under = to[3] * (255 - over) / 255, alpha = over + under;
  for (int i = 0; i < 3 && alpha > 0; ++i)
    to[i] = static_cast<uint8_t>((from[i] * over + to[i] * under + alpha / 2) / alpha);
  to[3] = static_cast<uint8_t>(alpha);
}

class AnimatedWebp : public VideoReader {
 public:
  AnimatedWebp(const std::filesystem::path& path, const DecoderLimits& limits)
      : name_(path.string()), limits_(limits), file_(path) {
    libav::complaint();  // forget what an earlier file caused
    require_whole();
    find_pictures();
    open_codec();
    find_rate();
    info_.container = info_.codec = "webp";
    info_.pixel_format = "rgba";
    info_.colour_space = av_color_space_name(AVCOL_SPC_SMPTE170M);
    info_.colour_range = av_color_range_name(AVCOL_RANGE_MPEG);
    info_.frames = static_cast<long>(pictures_.size());
    info_.metadata = webp_metadata(file_);
    next_picture();  // so that a file without a single good picture is refused here
  }

  const VideoInfo& info() const override { return info_; }

  std::optional<Frame> read() override {
    if (given_ == end_) return std::nullopt;
    if (given_ == limits_.frames) fail("has more than " + std::to_string(limits_.frames) + " frames");
    while (next_ < places_.size() && places_[next_] <= given_) next_picture();
    auto frame = on_white();
    frame.time = static_cast<double>(given_++) * info_.fps.denominator / info_.fps.numerator;
    return frame;
  }

 private:
  void require_whole() const {
    const auto whole = chunk_header + static_cast<int64_t>(little_endian(file_.bytes(4, 4), 0, 4));
    if (whole > file_.size())
      fail("is shorter than it says: it has " + std::to_string(file_.size()) + " of " +
           std::to_string(whole) + " bytes");
  }

  void find_pictures() {
    const auto header = file_.bytes(riff_header + chunk_header, 10);
    info_.width = static_cast<int>(1 + little_endian(header, 4, 3));
    info_.height = static_cast<int>(1 + little_endian(header, 7, 3));
    if (static_cast<int64_t>(info_.width) * info_.height > limits_.pixels_per_frame)
      fail("its pictures have " + std::to_string(info_.width) + "x" + std::to_string(info_.height) +
           " pixels, more than the " + std::to_string(limits_.pixels_per_frame) + " allowed");
    for (const auto& chunk : chunks_of(file_))
      if (chunk.name == "ANMF" && chunk.size > static_cast<int64_t>(picture_header))
        pictures_.push_back(chunk);
    if (pictures_.empty()) fail("holds no pictures");
    if (static_cast<long>(pictures_.size()) > limits_.frames)
      fail("has more than " + std::to_string(limits_.frames) + " frames");
    canvas_.resize(static_cast<std::size_t>(info_.width) * info_.height * 4);
  }

  void find_rate() {
    std::vector<double> times;
    double end = 0;
    for (const auto& picture : pictures_) {
      times.push_back(end);
      end += placed_of(file_.bytes(picture.at, picture_header)).seconds;
    }
    if (const auto rate = rate_in_milliseconds(times, end)) {
      info_.fps = *rate;
    } else {
      std::vector<double> distinct;  // a picture may be shown for no time at all
      for (const double time : times)
        if (distinct.empty() || time > distinct.back()) distinct.push_back(time);
      info_.fps = choose_rate(distinct, {});
      if (info_.fps.numerator == 0) info_.fps = {10, 1};
      info_.constant_rate = false;
      info_.notes.push_back(variable_rate_note(info_.fps));
    }
    for (const double time : times) places_.push_back(frame_at(time, info_.fps));
    end_ = std::max(frame_at(end, info_.fps), places_.back() + 1);
  }

  void open_codec() {
    const auto* decoder = avcodec_find_decoder(AV_CODEC_ID_WEBP);
    if (decoder == nullptr) fail("its pictures cannot be decoded by this FFmpeg");
    codec_.reset(libav::allocated(avcodec_alloc_context3(decoder)));
    codec_->thread_count = 1;  // as in decoder.cpp
    codec_->max_pixels = limits_.pixels_per_frame;
    check(avcodec_open2(codec_.get(), decoder, nullptr));
    packet_.reset(libav::allocated(av_packet_alloc()));
    picture_.reset(libav::allocated(av_frame_alloc()));
  }

  // Draws the next picture onto the canvas.
  void next_picture() {
    if (shown_.dispose) clear(shown_);
    const auto& chunk = pictures_[next_++];
    const auto bytes = file_.bytes(chunk.at, static_cast<std::size_t>(chunk.size));
    if (bytes.size() <= picture_header) fail(frame_text() + " cannot be read");
    shown_ = placed_of(bytes);
    if (shown_.x + shown_.width > info_.width || shown_.y + shown_.height > info_.height)
      fail(frame_text() + " reaches beyond the picture");
    decode(still_of(std::string_view(bytes).substr(picture_header), shown_));
    const PictureFormat stored{shown_.width, shown_.height, static_cast<AVPixelFormat>(picture_->format),
                               AVCOL_SPC_SMPTE170M, false};
    const PictureFormat rgba{shown_.width, shown_.height, AV_PIX_FMT_RGBA, AVCOL_SPC_SMPTE170M};
    const auto drawn = make_picture(rgba);
    scale(*make_scaler(stored, rgba, SWS_BILINEAR), *picture_, *drawn);
    draw(*drawn);
  }

  void decode(const std::string& still) {
    check(av_new_packet(packet_.get(), static_cast<int>(still.size())));
    std::copy(still.begin(), still.end(), packet_->data);
    check(avcodec_send_packet(codec_.get(), packet_.get()));
    av_packet_unref(packet_.get());
    check(avcodec_receive_frame(codec_.get(), picture_.get()));
    if (picture_->width != shown_.width || picture_->height != shown_.height)
      fail(frame_text() + " is of another size than it says");
  }

  uint8_t* pixel(int x, int y) {
    return canvas_.data() + (static_cast<std::size_t>(y) * info_.width + x) * 4;
  }

  void clear(const Placed& placed) {
    for (int y = 0; y < placed.height; ++y)
      std::fill_n(pixel(placed.x, placed.y + y), static_cast<std::size_t>(placed.width) * 4, uint8_t{0});
  }

  void draw(const AVFrame& drawn) {
    for (int y = 0; y < shown_.height; ++y) {
      const auto* from = drawn.data[0] + static_cast<std::ptrdiff_t>(y) * drawn.linesize[0];
      auto* to = pixel(shown_.x, shown_.y + y);
      for (int x = 0; x < shown_.width; ++x, from += 4, to += 4) {
        if (shown_.blend && from[3] < 255)
          blend(from, to);
        else
          std::copy_n(from, 4, to);
      }
    }
  }

  Frame on_white() {
    Frame frame{info_.width, info_.height, {}};
    frame.rgb.resize(canvas_.size() / 4 * 3);
    auto* out = frame.rgb.data();
    bool transparent = false;
    for (const auto* in = canvas_.data(); in != canvas_.data() + canvas_.size(); in += 4) {
      transparent = transparent || in[3] < 255;
      for (int i = 0; i < 3; ++i) {
        const int colour = limits_.reads_transparency ? 0 : in[i];
        *out++ = static_cast<uint8_t>((colour * in[3] + 255 * (255 - in[3]) + 127) / 255);
      }
    }
    if (transparent && !std::exchange(is_transparent_, true)) info_.notes.emplace_back(transparency_note);
    return frame;
  }

  std::string frame_text() const { return "frame " + std::to_string(next_); }
  [[noreturn]] void fail(const std::string& why) const {
    throw Error(ErrorKind::bad_input, name_ + ": " + why);
  }
  void check(int result) const {
    if (result < 0)
      fail(frame_text() + " cannot be decoded: " + libav::error_text(result) + libav::complaint());
  }

  std::string name_;
  DecoderLimits limits_;
  InputFile file_;
  VideoInfo info_;
  std::vector<Chunk> pictures_;
  std::vector<int64_t> places_;  // of each picture: the frame that it begins at
  int64_t end_ = 0, given_ = 0;
  std::size_t next_ = 0;
  Placed shown_;
  std::vector<uint8_t> canvas_;  // RGBA
  bool is_transparent_ = false;  // was in some frame
  libav::CodecContext codec_;
  libav::Packet packet_;
  libav::Picture picture_;
};

}  // namespace

bool is_animated_webp(const InputFile& file) {
  const auto beginning = file.bytes(0, static_cast<std::size_t>(riff_header + chunk_header) + 10);
  return beginning.size() == static_cast<std::size_t>(riff_header + chunk_header) + 10 &&
         beginning.starts_with("RIFF") && beginning.compare(8, 8, "WEBPVP8X") == 0 &&
         (static_cast<uint8_t>(beginning[20]) & flag_animated) != 0;
}

std::unique_ptr<VideoReader> open_animated_webp(const std::filesystem::path& path,
                                                const DecoderLimits& limits) {
  return std::make_unique<AnimatedWebp>(path, limits);
}

std::map<std::string, std::string> webp_metadata(const InputFile& file) {
  for (const auto& chunk : chunks_of(file))
    if (chunk.name == "XMP ")
      return metadata_of_xmp(file.bytes(chunk.at, std::min(most_xmp, static_cast<std::size_t>(chunk.size))));
  return {};
}

}  // namespace t2v
