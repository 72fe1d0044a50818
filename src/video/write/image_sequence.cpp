#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

extern "C" {
#include <libavutil/crc.h>
}

#include "t2v/error.h"
#include "video/scaler.h"
#include "video/write/codec.h"
#include "video/write/output_file.h"
#include "video/write/output_name.h"
#include "video/write/sinks.h"

namespace t2v {

namespace {

constexpr std::size_t end_of_header_chunk = 33;  // signature (8), then IHDR: length, type, 13 bytes, CRC

void append_big_endian(std::string& bytes, uint32_t value) {
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(value >> shift));
}

// One text chunk: tEXt for ASCII, which every reader knows, iTXt (UTF-8) otherwise. Source: PNG
// specification, third edition, section 11.3.3.
std::string text_chunk(const std::string& key, const std::string& value) {
  const bool ascii = std::all_of(value.begin(), value.end(), [](unsigned char c) { return c < 128; });
  auto chunk = ascii ? "tEXt" + key + '\0'
                     : "iTXt" + key +
                           std::string(5, '\0');  // iTXt: not compressed, no language, no translated key
  chunk += value;
  const auto crc = av_crc(av_crc_get_table(AV_CRC_32_IEEE_LE), ~uint32_t{0},
                          reinterpret_cast<const uint8_t*>(chunk.data()), chunk.size());
  std::string bytes;
  append_big_endian(bytes, static_cast<uint32_t>(chunk.size() - 4));
  bytes += chunk;
  append_big_endian(bytes, ~crc);
  return bytes;
}

class ImageSink : public FrameSink {
 public:
  explicit ImageSink(const EncoderOptions& options)
      : path_(options.path), pattern_(parse_image_pattern(options.path)) {
    check_output(path_);
    for (const auto& [key, value] : options.metadata)
      text_ += text_chunk(key.substr(0, 79), value);  // 79: the format's limit for a key
    open_png(options);
    picture_ = make_picture({options.width, options.height, png_->pix_fmt});
    // libav writes the chunks sRGB, gAMA and cHRM where a picture says this.
    picture_->color_primaries = AVCOL_PRI_BT709;
    picture_->color_trc = AVCOL_TRC_IEC61966_2_1;
    packet_.reset(libav::allocated(av_packet_alloc()));
  }

  ~ImageSink() override {
    std::error_code ignored;
    if (!finished_)
      for (const auto& name : written_) std::filesystem::remove(name, ignored);
  }

  void write(const Frame& frame) override {
    if (!pattern_ && !written_.empty())
      throw Error(ErrorKind::usage, path_ +
                                        ": holds one image, but the clip has more frames; name a sequence "
                                        "(frame-%05d.png) or a video (.mp4)");
    check(av_frame_make_writable(picture_.get()));
    copy_to_picture(frame, *picture_);
    check(avcodec_send_frame(png_.get(), picture_.get()));
    check(avcodec_receive_packet(png_.get(), packet_.get()));
    const std::string_view png(reinterpret_cast<const char*>(packet_->data), packet_->size);
    const auto name = pattern_ ? pattern_->name_of(static_cast<long>(written_.size()))
                               : std::filesystem::path(path_);
    OutputFile file(name.string());
    file.write(png.data(), end_of_header_chunk);
    file.write(text_.data(), text_.size());
    file.write(png.data() + end_of_header_chunk, png.size() - end_of_header_chunk);
    file.finish();
    written_.push_back(name);
    av_packet_unref(packet_.get());
  }

  void finish() override { finished_ = true; }

 private:
  void open_png(const EncoderOptions& options) {
    const auto& codec = encoder_of(codec_of(options), path_);
    png_.reset(libav::allocated(avcodec_alloc_context3(&codec)));
    png_->width = options.width;
    png_->height = options.height;
    png_->pix_fmt = codec_of(options).pixels;
    png_->time_base = {1, 1};
    png_->thread_count = 1;  // frame threads would hand each image out late
    av_opt_set(png_->priv_data, "pred", "mixed", 0);
    check(avcodec_open2(png_.get(), &codec, nullptr));
  }

  void check(int result) const {
    if (result >= 0) return;
    const auto complaint = libav::complaint();
    if (libav::is_out_of_memory(result, complaint)) throw std::bad_alloc();
    throw Error(ErrorKind::output, path_ + ": PNG encoder: " + libav::error_text(result) + complaint);
  }

  std::string path_;
  std::optional<ImagePattern> pattern_;
  std::string text_;  // the text chunks of every image
  libav::CodecContext png_;
  libav::Picture picture_;
  libav::Packet packet_;
  std::vector<std::filesystem::path> written_;
  bool finished_ = false;
};

}  // namespace

std::optional<std::string> note_on_leftovers(const std::string& path, int64_t frames) {
  const auto pattern = parse_image_pattern(path);
  if (!pattern) return std::nullopt;
  std::error_code failed;
  auto end = frames;
  while (std::filesystem::exists(pattern->name_of(end), failed)) ++end;
  if (end == frames) return std::nullopt;
  const auto first = pattern->name_of(frames).string(), last = pattern->name_of(end - 1).string();
  return (first == last ? first + " stays" : first + " to " + last + " stay") +
         " from an earlier, longer sequence and will be read as part of this one; remove what is not wanted";
}

std::unique_ptr<FrameSink> open_images(const EncoderOptions& options) {
  libav::prepare_library();
  return std::make_unique<ImageSink>(options);
}

}  // namespace t2v
