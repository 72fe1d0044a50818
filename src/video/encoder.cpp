#include "video/encoder.h"

#include "base/atomic_file.h"
#include "t2v/error.h"
#include "video/output_name.h"
#include "video/scaler.h"
#include "video/sinks.h"

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
  if (parse_output_name(options.path) == OutputKind::movie && (width % 2 != 0 || height % 2 != 0)) {
    const auto size = [](int w, int h) { return std::to_string(w) + "x" + std::to_string(h); };
    throw Error(ErrorKind::usage, options.path + ": H.264 in yuv420p needs an even width and height, not " +
                                      size(width, height) + "; add --resize " +
                                      size(width + width % 2, height + height % 2) +
                                      ", or write .png or .y4m");
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
  auto sink = kind == OutputKind::movie ? open_movie(written)
              : kind == OutputKind::y4m ? open_y4m(written)
                                        : open_images(written);
  if (!options.resize) return sink;
  return make_resizing_sink(std::move(sink), options.width, options.height, *options.resize);
}

}  // namespace t2v
