#include "video/read/container.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "t2v/error.h"
#include "video/write/file_end.h"

namespace t2v {

namespace {

// Formats that say which other files to read, or that turn any text into pictures. libav is also kept from
// opening anything beside the file itself.
constexpr std::array<std::string_view, 9> refused_formats{"concat", "dash", "hls", "imf",        "lavfi",
                                                          "sdp",    "rtsp", "tty", "vapoursynth"};

int refuse_to_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
  return AVERROR(EPERM);
}

}  // namespace

libav::InputFormat open_container(InputFile& file, const std::string& name, const ContainerOptions& options) {
  const auto fail = [&](const std::string& why) { throw Error(ErrorKind::bad_input, name + ": " + why); };
  const auto check = [&](int result, const std::string& what) {
    if (result < 0) fail(what + ": " + libav::error_text(result) + libav::complaint());
  };
  const AVInputFormat* format = nullptr;
  // Without a name libav goes by the contents alone.
  check(av_probe_input_buffer2(file.io(), &format, "", nullptr, 0, 0),
        "not a video or image that FFmpeg knows");
  if (std::find(refused_formats.begin(), refused_formats.end(), std::string_view(format->name)) !=
      refused_formats.end())
    fail(std::string("a file of the kind '") + format->name +
         "' may name other files and is not read; give the video itself");
  if (options.must_have_its_end)
    if (const auto missing = missing_end(*file.io(), *format)) fail("is shorter than it says: " + *missing);
  AVFormatContext* opened = libav::allocated(avformat_alloc_context());
  opened->pb = file.io();
  opened->io_open = refuse_to_open;
  libav::Dictionary settings;
  settings.set("protocol_whitelist", "none");
  const int result = avformat_open_input(&opened, "", format,
                                         settings.address());  // frees the container when it fails
  libav::InputFormat container(result < 0 ? nullptr : opened);
  check(result, "cannot be opened");
  // The streams' decoders run here already, so they must know the cap.
  std::vector<AVDictionary*> codec_settings(container->nb_streams, nullptr);
  for (auto& entry : codec_settings) av_dict_set_int(&entry, "max_pixels", options.pixels_per_frame, 0);
  const int found = avformat_find_stream_info(container.get(), codec_settings.data());
  for (auto& entry : codec_settings) av_dict_free(&entry);
  check(found, "its streams cannot be read");
  return container;
}

}  // namespace t2v
