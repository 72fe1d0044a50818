#include "video/read/orientation.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace t2v {

std::optional<Orientation> orientation_of_matrix(const int32_t* matrix) {
  // Rows of libav's matrix are {a, b, u}, {c, d, v}, {x, y, w}; a file may scale by it, which is not ours.
  const double a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4];
  const double scale = std::max({std::abs(a), std::abs(b), std::abs(c), std::abs(d)});
  if (scale == 0) return std::nullopt;
  const auto sign = [&](double entry) { return std::abs(entry) < 0.01 * scale ? 0 : entry < 0 ? -1 : 1; };
  const Orientation found{sign(a), sign(b), sign(c), sign(d)};
  const bool straight = found.a * found.b == 0 && found.a * found.c == 0 &&
                        found.a * found.d != found.b * found.c;
  return straight ? std::optional(found) : std::nullopt;
}

Orientation orientation_of_exif(int tag) {
  constexpr std::array<Orientation, 8> of_tag{{{1, 0, 0, 1},
                                               {-1, 0, 0, 1},
                                               {-1, 0, 0, -1},
                                               {1, 0, 0, -1},
                                               {0, 1, 1, 0},
                                               {0, 1, -1, 0},
                                               {0, -1, -1, 0},
                                               {0, -1, 1, 0}}};
  return tag >= 1 && tag <= 8 ? of_tag[tag - 1] : Orientation{};
}

Frame upright(Frame frame, const Orientation& orientation) {
  if (orientation == Orientation{}) return frame;
  const auto [a, b, c, d] = orientation;
  const int width = orientation.swaps_sides() ? frame.height : frame.width;
  const int height = orientation.swaps_sides() ? frame.width : frame.height;
  Frame out{width, height, std::vector<uint8_t>(frame.rgb.size())};
  const int left = a + c < 0 ? width - 1 : 0, top = b + d < 0 ? height - 1 : 0;
  const auto* from = frame.rgb.data();
  for (int y = 0; y < frame.height; ++y)
    for (int x = 0; x < frame.width; ++x, from += 3) {
      const auto at = static_cast<std::size_t>(top + b * x + d * y) * width + (left + a * x + c * y);
      std::copy_n(from, 3, out.rgb.data() + at * 3);
    }
  return out;
}

}  // namespace t2v
