// Millions of clips are drawn while a model is trained: plain float loops over the pixels of each object's
// bounding box.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "world/world.h"

namespace t2v {

namespace {

// Each shape: the distance to its outline, `extent` from its centre to its farthest point, and by how much
// that point moves outwards per unit of distance (more than 1 at a corner, where the distance is one to the
// edges' lines).
struct CircleShape {
  static constexpr float extent = 0.9F, corner = 1;
  static float distance(float x, float y) { return std::sqrt(x * x + y * y) - 0.9F; }
};

struct RingShape {
  static constexpr float extent = 0.96F, corner = 1;
  static float distance(float x, float y) { return std::abs(std::sqrt(x * x + y * y) - 0.72F) - 0.24F; }
};

struct SquareShape {
  static constexpr float extent = 1.14F, corner = 1.42F;
  static float distance(float x, float y) { return std::max(std::abs(x), std::abs(y)) - 0.8F; }
};

struct DiamondShape {
  static constexpr float extent = 0.98F, corner = 1.6F;
  static float distance(float x, float y) { return (std::abs(x) * 1.25F + std::abs(y)) * 0.66F - 0.64F; }
};

struct CrossShape {
  static constexpr float extent = 1, corner = 1.42F;
  static float distance(float x, float y) {
    const float across = std::abs(x), along = std::abs(y);
    return std::min(std::max(across - 0.95F, along - 0.3F), std::max(across - 0.3F, along - 0.95F));
  }
};

struct TriangleShape {
  static constexpr float extent = 0.97F, corner = 2;
  static float distance(float x, float y) { return std::max(std::abs(x) * 0.8660254F - y * 0.5F, y) - 0.48F; }
};

// Folded into one tenth of the star by reflections; then the line from the outer tip (1, 0) to the inner
// corner at radius 0.42 and 36°.
struct StarShape {
  static constexpr float extent = 1, corner = 2.9F;
  static constexpr float cos36 = 0.80901699F, sin36 = 0.58778525F, cos72 = 0.30901699F, sin72 = 0.95105652F;
  static constexpr float edge_x = 0.42F * cos36 - 1, edge_y = 0.42F * sin36, edge_length = 0.70485866F;
  static float distance(float x, float y) {
    const float along = -y, across = std::abs(x);  // the angle is measured from the upper tip
    const bool beyond36 = across * cos36 > along * sin36, beyond108 = across * -cos72 > along * sin72;
    const float c = beyond108 ? -cos36 : beyond36 ? cos72 : 1, s = beyond108 ? sin36 : beyond36 ? sin72 : 0;
    const float fold_x = along * c + across * s, fold_y = std::abs(across * c - along * s);
    return ((fold_x - 1) * edge_y - fold_y * edge_x) / edge_length;
  }
};

// Inigo Quilez, "2D distance functions", heart; scaled to a radius of about 1.
struct HeartShape {
  static constexpr float extent = 0.76F, corner = 1.42F;
  static float distance(float px, float py) {
    const float x = std::abs(px) * 0.95F, y = -py * 0.95F + 0.5F;
    if (x + y > 1) return std::sqrt((x - 0.25F) * (x - 0.25F) + (y - 0.75F) * (y - 0.75F)) - 0.35355339F;
    const float q = std::max(x + y, 0.0F) * 0.5F;
    const float squared = std::min(x * x + (y - 1) * (y - 1), (x - q) * (x - q) + (y - q) * (y - q));
    return x > y ? std::sqrt(squared) : x < y ? -std::sqrt(squared) : 0;
  }
};

template <class Visit>
decltype(auto) with_shape(int shape, Visit&& visit) {
  switch (shape) {  // the order of world_shapes()
    case 0:
      return visit(CircleShape{});
    case 1:
      return visit(SquareShape{});
    case 2:
      return visit(TriangleShape{});
    case 3:
      return visit(StarShape{});
    case 4:
      return visit(HeartShape{});
    case 5:
      return visit(DiamondShape{});
    case 6:
      return visit(RingShape{});
    default:
      return visit(CrossShape{});
  }
}

float in_frame_range(uint8_t value) { return static_cast<float>(value) / 127.5F - 1; }

struct Pose {
  float x, y, angle, radius;
};

// Pixels [first, last) of `size` that a disc of `reach` world units around `centre` may touch.
std::pair<int64_t, int64_t> touched(float centre, float reach, int64_t size, float unit) {
  const float origin = static_cast<float>(size) / 2;
  const auto first = static_cast<int64_t>(std::floor((centre - reach) * unit + origin - 0.5F));
  const auto last = static_cast<int64_t>(std::ceil((centre + reach) * unit + origin + 0.5F));
  return {std::clamp<int64_t>(first, 0, size), std::clamp<int64_t>(last, 0, size)};
}

// Blends one object over a frame whose three planes lie `plane` floats apart.
template <class Shape>
void draw(const Pose& pose, const std::array<float, 3>& colour, int64_t width, int64_t height, int64_t plane,
          float* frame) {
  const auto unit = static_cast<float>(std::min(width, height));
  const float cosine = std::cos(pose.angle) / pose.radius, sine = std::sin(pose.angle) / pose.radius,
              pixels = pose.radius * unit;
  const float reach = pose.radius * Shape::extent + Shape::corner * 0.5F / unit;
  const auto [left, right] = touched(pose.x, reach, width, unit);
  const auto [top, bottom] = touched(pose.y, reach, height, unit);
  const float origin_x = static_cast<float>(width) / unit / 2 + pose.x,
              origin_y = static_cast<float>(height) / unit / 2 + pose.y;
  for (int64_t row = top; row < bottom; ++row) {
    const float dy = (static_cast<float>(row) + 0.5F) / unit - origin_y;
    float* out = frame + row * width;
    for (int64_t column = left; column < right; ++column) {
      const float dx = (static_cast<float>(column) + 0.5F) / unit - origin_x;
      const float outside = Shape::distance(dx * cosine + dy * sine, dy * cosine - dx * sine) * pixels;
      if (outside >= 0.5F) continue;
      const float alpha = std::min(0.5F - outside, 1.0F);
      for (int64_t c = 0; c < 3; ++c) {
        float& value = out[c * plane + column];
        value += (colour[static_cast<std::size_t>(c)] - value) * alpha;
      }
    }
  }
}

}  // namespace

float world_shape_distance(int shape, float x, float y) {
  return with_shape(shape, [&](auto kind) { return decltype(kind)::distance(x, y); });
}

at::Tensor render_world(const WorldScene& scene, int64_t frames, int64_t width, int64_t height) {
  auto video = at::empty({3, frames, height, width}, at::TensorOptions(at::kFloat));
  auto* out = video.data_ptr<float>();
  const int64_t area = width * height, plane = frames * area;
  const auto background = world_background_rgb(scene.background);
  for (int64_t c = 0; c < 3; ++c)
    std::fill_n(out + c * plane, plane, in_frame_range(background[static_cast<std::size_t>(c)]));
  const auto tracks = world_tracks(scene, frames, width, height);
  for (std::size_t i = 0; i < scene.objects.size(); ++i) {
    const auto rgb = world_colour_rgb(scene.objects[i].colour);
    const std::array<float, 3> colour{in_frame_range(rgb[0]), in_frame_range(rgb[1]), in_frame_range(rgb[2])};
    with_shape(scene.objects[i].shape, [&](auto kind) {
      for (int64_t t = 0; t < frames; ++t) {
        const auto f = static_cast<std::size_t>(t);
        const Pose pose{tracks[i].x[f], tracks[i].y[f], tracks[i].angle[f], tracks[i].radius[f]};
        draw<decltype(kind)>(pose, colour, width, height, plane, out + t * area);
      }
    });
  }
  return video;
}

}  // namespace t2v
