#include "world/judge/judge_template.h"

#include <algorithm>
#include <cmath>

#include "world/world.h"

namespace t2v {

namespace {

// A template of one object around its pose, sharp and then blurred: `left`, `top` are its first pixel in the
// frame, which it may leave.
struct Template {
  int64_t left = 0, top = 0, width = 0, height = 0;
  std::vector<float> covered, scratch;
};

void draw(Template& drawn, const CoverageFrame& frame, int shape, const Pose& pose, int64_t margin) {
  const float unit = frame.unit(), pixels = pose.radius * unit, reach = pixels * 1.15F + 1;
  const float x = pose.x * unit + static_cast<float>(frame.width) / 2,
              y = pose.y * unit + static_cast<float>(frame.height) / 2;
  const auto floor = [](float value) { return static_cast<int64_t>(std::floor(value)); };
  drawn.left = floor(x - reach) - margin, drawn.top = floor(y - reach) - margin;
  drawn.width = floor(x + reach) + margin + 1 - drawn.left,
  drawn.height = floor(y + reach) + margin + 1 - drawn.top;
  drawn.covered.assign(static_cast<std::size_t>(drawn.width * drawn.height), 0.0F);
  const float cosine = std::cos(pose.angle) / pixels, sine = std::sin(pose.angle) / pixels;
  for (int64_t row = margin; row < drawn.height - margin; ++row) {
    const float dy = static_cast<float>(drawn.top + row) + 0.5F - y;
    for (int64_t column = margin; column < drawn.width - margin; ++column) {
      const float dx = static_cast<float>(drawn.left + column) + 0.5F - x;
      const float distance = world_shape_distance(shape, dx * cosine + dy * sine, dy * cosine - dx * sine) *
                             pixels;
      drawn.covered[static_cast<std::size_t>(row * drawn.width + column)] = std::clamp(0.5F - distance, 0.0F,
                                                                                       1.0F);
    }
  }
}

// One direction: pixels that are neighbours along it lie `step` apart.
void blur_along(const std::vector<float>& from, std::vector<float>& to, int64_t step,
                const std::vector<float>& taps) {
  to.assign(from.size(), 0.0F);
  const auto size = static_cast<int64_t>(from.size()), reach = static_cast<int64_t>(taps.size()) / 2 * step;
  for (std::size_t k = 0; k < taps.size(); ++k) {
    const int64_t shift = static_cast<int64_t>(k) * step - reach;
    for (int64_t i = reach; i < size - reach; ++i)
      to[static_cast<std::size_t>(i)] += taps[k] * from[static_cast<std::size_t>(i + shift)];
  }
}

}  // namespace

Softening::Softening(float sigma, float steepening) : gain(steepening) {
  if (sigma <= 0) return;
  margin = static_cast<int64_t>(std::ceil(2.5F * sigma));
  float sum = 0;
  for (int64_t i = -margin; i <= margin; ++i) {
    const auto at = static_cast<float>(i) / sigma;
    taps.push_back(std::exp(-at * at / 2));
    sum += taps.back();
  }
  for (auto& tap : taps) tap /= sum;
}

// Only pixels that the template covers differ.
double template_difference(const CoverageFrame& frame, int shape, const Pose& pose,
                           const Softening& softening) {
  static thread_local Template drawn;
  draw(drawn, frame, shape, pose, softening.margin);
  if (softening.margin > 0) {
    blur_along(drawn.covered, drawn.scratch, 1, softening.taps);
    blur_along(drawn.scratch, drawn.covered, drawn.width, softening.taps);
  }
  if (softening.gain != 1)
    for (auto& covered : drawn.covered)
      covered = std::clamp((covered - 0.5F) * softening.gain + 0.5F, 0.0F, 1.0F);
  double sum = 0;
  for (int64_t row = std::max<int64_t>(0, -drawn.top); row < std::min(drawn.height, frame.height - drawn.top);
       ++row) {
    const float* covered = drawn.covered.data() + row * drawn.width;
    const int64_t at = (drawn.top + row) * frame.width + drawn.left;
    float line = 0;
    for (int64_t column = std::max<int64_t>(0, -drawn.left);
         column < std::min(drawn.width, frame.width - drawn.left); ++column)
      line += frame.weight[at + column] * covered[column] * (covered[column] - 2 * frame.alpha[at + column]);
    sum += line;
  }
  return sum;
}

}  // namespace t2v
