#include "world/book/canvas.h"

#include <algorithm>
#include <cmath>

namespace t2v {

namespace {

float clamp01(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

// What is drawn on one row: alpha by column.
void blend_row(float* out, float value, const float* alpha, int count) {
  for (int c = 0; c < count; ++c) out[c] += (value - out[c]) * alpha[c];
}

}  // namespace

BookColour BookPaint::at(float row) const {
  if (to <= from) return top;
  const float t = clamp01((row - from) / (to - from));
  return {top.red + (bottom.red - top.red) * t, top.green + (bottom.green - top.green) * t,
          top.blue + (bottom.blue - top.blue) * t};
}

void Canvas::fill(const BookPaint& paint) {
  for (int y = 0; y < height_; ++y) {
    const auto colour = paint.at(static_cast<float>(y) + 0.5F);
    std::fill_n(row(0, y), width_, colour.red);
    std::fill_n(row(1, y), width_, colour.green);
    std::fill_n(row(2, y), width_, colour.blue);
  }
}

void Canvas::below(const std::vector<float>& tops, const BookPaint& paint) {
  // The distance to the line, not the height above it, so that steep parts are as sharp as level ones.
  std::vector<float> steep(tops.size()), alpha(tops.size());
  const auto last = tops.size() - 1;
  for (std::size_t c = 0; c <= last; ++c) {
    const std::size_t a = c == 0 ? 0 : c - 1, b = std::min(c + 1, last);
    const float slope = (tops[b] - tops[a]) / static_cast<float>(std::max<std::size_t>(b - a, 1));
    steep[c] = 1 / std::sqrt(1 + slope * slope);
  }
  const float highest = *std::min_element(tops.begin(), tops.end());
  const int first = static_cast<int>(std::clamp(std::floor(highest - 2), 0.0F, static_cast<float>(height_)));
  for (int y = first; y < height_; ++y) {
    const float middle = static_cast<float>(y) + 0.5F;
    for (std::size_t c = 0; c <= last; ++c) alpha[c] = clamp01((middle - tops[c]) * steep[c] + 0.5F);
    const auto colour = paint.at(middle);
    blend_row(row(0, y), colour.red, alpha.data(), width_);
    blend_row(row(1, y), colour.green, alpha.data(), width_);
    blend_row(row(2, y), colour.blue, alpha.data(), width_);
  }
}

template <class Cover>
void Canvas::blend(float left, float top, float right, float bottom, const BookPaint& paint, float alpha,
                   const Cover& cover) {
  const auto within = [](float value, int size) {
    return static_cast<int>(std::clamp(value, 0.0F, static_cast<float>(size)));
  };
  const int x0 = within(std::floor(left - 1), width_), x1 = within(std::ceil(right + 1), width_);
  const int y0 = within(std::floor(top - 1), height_), y1 = within(std::ceil(bottom + 1), height_);
  if (x0 >= x1) return;
  std::vector<float> line(static_cast<std::size_t>(x1 - x0));
  for (int y = y0; y < y1; ++y) {
    const float middle = static_cast<float>(y) + 0.5F;
    for (int x = x0; x < x1; ++x)
      line[static_cast<std::size_t>(x - x0)] = alpha * clamp01(cover(static_cast<float>(x) + 0.5F, middle));
    const auto colour = paint.at(middle);
    blend_row(row(0, y) + x0, colour.red, line.data(), x1 - x0);
    blend_row(row(1, y) + x0, colour.green, line.data(), x1 - x0);
    blend_row(row(2, y) + x0, colour.blue, line.data(), x1 - x0);
  }
}

void Canvas::rectangle(float left, float top, float right, float bottom, const BookPaint& paint,
                       float alpha) {
  blend(left, top, right, bottom, paint, alpha, [&](float x, float y) {
    const float across = std::min(x + 0.5F, right) - std::max(x - 0.5F, left);
    const float along = std::min(y + 0.5F, bottom) - std::max(y - 0.5F, top);
    return clamp01(across) * clamp01(along);
  });
}

void Canvas::ellipse(float x, float y, float radius_x, float radius_y, const BookPaint& paint, float alpha) {
  if (radius_x <= 0 || radius_y <= 0) return;
  const float ix = 1 / (radius_x * radius_x), iy = 1 / (radius_y * radius_y);
  blend(x - radius_x, y - radius_y, x + radius_x, y + radius_y, paint, alpha, [&](float px, float py) {
    // The implicit function over its gradient is the distance, near the rim.
    const float dx = px - x, dy = py - y, gx = dx * ix, gy = dy * iy;
    const float inside = 1 - dx * gx - dy * gy, slope = 2 * std::sqrt(gx * gx + gy * gy) + 1e-6F;
    return inside / slope + 0.5F;
  });
}

void Canvas::glow(float x, float y, float radius_x, float radius_y, const BookPaint& paint, float alpha) {
  blend(x - radius_x, y - radius_y, x + radius_x, y + radius_y, paint, alpha, [&](float px, float py) {
    const float dx = (px - x) / radius_x, dy = (py - y) / radius_y;
    const float inside = clamp01(1 - dx * dx - dy * dy);
    return inside * inside;
  });
}

void Canvas::polygon(const std::vector<BookPoint>& corners, const BookPaint& paint, float alpha) {
  struct Edge {
    float a, b, c;  // a x + b y + c: the distance inwards
  };
  std::vector<Edge> edges;
  float left = corners[0].x, right = left, top = corners[0].y, bottom = top;
  for (std::size_t i = 0; i < corners.size(); ++i) {
    const auto &p = corners[i], &q = corners[(i + 1) % corners.size()];
    const float dx = q.x - p.x, dy = q.y - p.y, length = std::sqrt(dx * dx + dy * dy);
    if (length > 0) edges.push_back({-dy / length, dx / length, (dy * p.x - dx * p.y) / length});
    left = std::min(left, p.x), right = std::max(right, p.x);
    top = std::min(top, p.y), bottom = std::max(bottom, p.y);
  }
  blend(left, top, right, bottom, paint, alpha, [&](float x, float y) {
    float inside = 1;
    for (const auto& edge : edges) inside = std::min(inside, edge.a * x + edge.b * y + edge.c + 0.5F);
    return inside;
  });
}

}  // namespace t2v
