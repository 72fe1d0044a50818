#include "pipeline/plan/sizes.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "t2v/error.h"

namespace t2v {

namespace {

std::optional<int64_t> parse_count(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) return std::nullopt;
  return value;
}

std::optional<double> parse_positive(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || !std::isfinite(value))
    return std::nullopt;
  return value;
}

}  // namespace

PixelSize parse_size(const std::string& text, const std::string& what) {
  const auto x = text.find_first_of("xX");
  if (x != std::string::npos) {
    const auto width = parse_count(std::string_view(text).substr(0, x));
    const auto height = parse_count(std::string_view(text).substr(x + 1));
    if (width && height && *width <= 16384 && *height <= 16384) return {*width, *height};
  }
  throw Error(
      ErrorKind::usage,
      what + " should be WIDTHxHEIGHT in pixels, such as 832x480 (at most 16384 each), found '" + text + "'");
}

double parse_aspect(const std::string& text, const std::string& what) {
  const auto colon = text.find(':');
  std::optional<double> ratio;
  if (colon == std::string::npos) {
    ratio = parse_positive(text);
  } else {
    const auto width = parse_positive(std::string_view(text).substr(0, colon));
    const auto height = parse_positive(std::string_view(text).substr(colon + 1));
    if (width && height) ratio = *width / *height;
  }
  if (ratio && *ratio >= 0.05 && *ratio <= 20) return *ratio;
  throw Error(ErrorKind::usage,
              what + " should be WIDTH:HEIGHT, such as 16:9, between 1:20 and 20:1, found '" + text + "'");
}

PixelSize size_for_aspect(double aspect, int64_t area, int64_t multiple) {
  // Half the distance in ratio counts as much as the whole distance in area, both as logarithms.
  const auto cost = [&](const PixelSize& size) {
    const double ratio = std::abs(
        std::log(static_cast<double>(size.width) / static_cast<double>(size.height) / aspect));
    const double areas = std::abs(
        std::log(static_cast<double>(size.width * size.height) / static_cast<double>(area)));
    return 2 * ratio + areas;
  };
  const double ideal = std::sqrt(static_cast<double>(area) * aspect) / static_cast<double>(multiple);
  PixelSize best{multiple, multiple};
  for (int64_t columns = std::max<int64_t>(1, static_cast<int64_t>(ideal) - 1);
       columns <= static_cast<int64_t>(ideal) + 2; ++columns) {
    const double rows_ideal = static_cast<double>(columns) / aspect;
    for (const int64_t rows :
         {static_cast<int64_t>(std::floor(rows_ideal)), static_cast<int64_t>(std::ceil(rows_ideal))}) {
      const PixelSize size{columns * multiple, std::max<int64_t>(1, rows) * multiple};
      if (cost(size) < cost(best)) best = size;
    }
  }
  return best;
}

PixelSize floor_to_multiple(PixelSize size, int64_t multiple) {
  const auto down = [&](int64_t value) { return std::max(multiple, value / multiple * multiple); };
  return {down(size.width), down(size.height)};
}

int64_t up_to_multiple(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

int64_t round_frames(int64_t frames, int64_t temporal_ratio) {
  return frames % temporal_ratio == 1 || temporal_ratio == 1 ? frames
                                                             : frames / temporal_ratio * temporal_ratio + 1;
}

}  // namespace t2v
