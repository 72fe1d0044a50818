#include "video/libav.h"

#include <array>
#include <cerrno>
#include <cstdarg>
#include <mutex>

#include "video/read/decoder.h"

namespace t2v::libav {

namespace {

std::mutex last_error_mutex;
std::string last_error;

void keep_errors(void* source, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_ERROR) return;
  std::array<char, 512> line{};
  int print_prefix = 1;
  av_log_format_line2(source, level, format, arguments, line.data(), static_cast<int>(line.size()),
                      &print_prefix);
  std::string text = line.data();
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  const std::lock_guard lock(last_error_mutex);
  if (!text.empty()) last_error = text;
}

}  // namespace

const int32_t* display_matrix(const AVStream& stream) {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
  const auto* data = av_packet_side_data_get(stream.codecpar->coded_side_data,
                                             stream.codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  return data != nullptr && data->size >= 9 * sizeof(int32_t) ? reinterpret_cast<const int32_t*>(data->data)
                                                              : nullptr;
#else
  std::size_t size = 0;
  const auto* data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  return data != nullptr && size >= 9 * sizeof(int32_t) ? reinterpret_cast<const int32_t*>(data) : nullptr;
#endif
}

const int32_t* display_matrix(const AVFrame& picture) {
  const auto* data = av_frame_get_side_data(&picture, AV_FRAME_DATA_DISPLAYMATRIX);
  return data != nullptr && data->size >= 9 * sizeof(int32_t) ? reinterpret_cast<const int32_t*>(data->data)
                                                              : nullptr;
}

int64_t duration(const AVFrame& picture) {
#if LIBAVUTIL_VERSION_MAJOR >= 58
  return picture.duration;
#else
  return picture.pkt_duration;
#endif
}

bool is_interlaced(const AVFrame& picture) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
  return (picture.flags & AV_FRAME_FLAG_INTERLACED) != 0;
#else
  return picture.interlaced_frame != 0;
#endif
}

std::string error_text(int code) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return text.data();
}

void prepare_library() {
  static std::once_flag once;
  std::call_once(once, [] {
    av_log_set_callback(keep_errors);
    // The largest picture that is read, with four channels of 16 bits. A few bytes of a file may claim tables
    // of gigabytes.
    av_max_alloc(static_cast<std::size_t>(DecoderLimits{}.pixels_per_frame) * 8 + (std::size_t{16} << 20));
  });
}

std::string complaint() {
  const std::lock_guard lock(last_error_mutex);
  const auto text = std::exchange(last_error, {});
  return text.empty() ? "" : " (libav: " + text + ")";
}

bool is_out_of_memory(int code, const std::string& complaint) {
  return code == AVERROR(ENOMEM) || (code == AVERROR_EXTERNAL && complaint.empty());
}

}  // namespace t2v::libav
