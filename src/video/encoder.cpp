#include "video/encoder.h"

#include "t2v/error.h"
#include "video/output_name.h"
#include "video/scaler.h"
#include "video/sinks.h"

namespace t2v {

namespace {

void validate(const EncoderOptions& options) {
  const auto positive = [&](int width, int height, const char* what) {
    if (width <= 0 || height <= 0)
      throw Error(ErrorKind::usage,
                  options.path + ": " + what + " must be positive, not " + std::to_string(width) + "x" + std::to_string(height));
  };
  positive(options.width, options.height, "the frame size");
  if (options.resize) positive(options.resize->width, options.resize->height, "the size to resize to");
  if (options.fps.numerator <= 0 || options.fps.denominator <= 0)
    throw Error(ErrorKind::usage, options.path + ": frames per second must be positive, not " + std::to_string(options.fps.numerator) +
                                      "/" + std::to_string(options.fps.denominator));
}

}  // namespace

std::unique_ptr<FrameSink> open_encoder(const EncoderOptions& options) {
  const auto kind = parse_output_name(options.path);
  validate(options);
  auto written = options;
  if (options.resize) {
    written.width = options.resize->width;
    written.height = options.resize->height;
    written.resize.reset();
  }
  auto sink = kind == OutputKind::movie ? open_movie(written) : kind == OutputKind::y4m ? open_y4m(written) : open_images(written);
  if (!options.resize) return sink;
  return make_resizing_sink(std::move(sink), options.width, options.height, *options.resize);
}

}  // namespace t2v
