#include "video/write/encoder.h"

#include "base/atomic_file.h"
#include "t2v/error.h"
#include "video/scaler.h"
#include "video/write/codec.h"
#include "video/write/output_name.h"
#include "video/write/sinks.h"

namespace t2v {

namespace {

void validate(const EncoderOptions& options) {
  const auto positive = [&](int width, int height, const char* what) {
    if (width <= 0 || height <= 0)
      throw Error(ErrorKind::usage, options.path + ": " + what + " must be positive, not " +
                                        std::to_string(width) + "x" + std::to_string(height));
  };
  positive(options.width, options.height, "the frame size");
  if (options.resize) positive(options.resize->width, options.resize->height, "the size to resize to");
  if (options.fps.numerator <= 0 || options.fps.denominator <= 0)
    throw Error(ErrorKind::usage, options.path + ": frames per second must be positive, not " +
                                      std::to_string(options.fps.numerator) + "/" +
                                      std::to_string(options.fps.denominator));
  const int width = options.resize ? options.resize->width : options.width;
  const int height = options.resize ? options.resize->height : options.height;
  const auto& codec = codec_of(options);
  plan_compression(options);
  const auto& pixels = *av_pix_fmt_desc_get(codec.pixels);
  const int across = 1 << pixels.log2_chroma_w, down = 1 << pixels.log2_chroma_h;
  if (width % across != 0 || height % down != 0) {
    const auto size = [](int w, int h) { return std::to_string(w) + "x" + std::to_string(h); };
    const std::string needed = down > 1 ? "an even width and height" : "an even width";
    throw Error(ErrorKind::usage, options.path + ": " + codec.title + " in " + pixels.name + " needs " +
                                      needed + ", not " + size(width, height) + "; add --resize " +
                                      size(width + width % across, height + height % down) +
                                      ", or write .png or .y4m");
  }
  constexpr int most_gif_fps = 50;  // players take a hundredth of a second for a tenth
  if (parse_output_name(options.path) == OutputKind::gif &&
      options.fps.numerator > most_gif_fps * options.fps.denominator)
    throw Error(ErrorKind::usage, options.path + ": GIF is shown at 50 frames per second at most, not " +
                                      std::to_string(options.fps.numerator) + "/" +
                                      std::to_string(options.fps.denominator));
}

std::unique_ptr<FrameSink> open_kind(OutputKind kind, const EncoderOptions& options) {
  switch (kind) {
    case OutputKind::movie:
      return open_movie(options);
    case OutputKind::gif:
      return open_gif(options);
    case OutputKind::webp:
      return open_webp(options);
    case OutputKind::y4m:
      return open_y4m(options);
    default:
      return open_images(options);
  }
}

}  // namespace

void check_output(const EncoderOptions& options, int64_t frames) {
  check_output_name(options, frames);
  check_output(options.path);
}

void check_output_name(const EncoderOptions& options, int64_t frames) {
  check_output_name(options.path);
  validate(options);
  if (const auto pattern = parse_image_pattern(options.path))
    check_name_length(pattern->name_of(static_cast<long>(frames - 1)));
  if (frames > 1 && parse_output_name(options.path) == OutputKind::image)
    throw Error(ErrorKind::usage, options.path + ": holds one image, but the clip has " +
                                      std::to_string(frames) +
                                      " frames; name a sequence (frame-%05d.png) or a video (.mp4)");
}

std::unique_ptr<FrameSink> open_encoder(const EncoderOptions& options) {
  const auto kind = parse_output_name(options.path);
  validate(options);
  auto written = options;
  if (options.resize) {
    written.width = options.resize->width;
    written.height = options.resize->height;
    written.resize.reset();
  }
  auto sink = open_kind(kind, written);
  if (!options.resize) return sink;
  return make_resizing_sink(std::move(sink), options.width, options.height, *options.resize);
}

}  // namespace t2v
