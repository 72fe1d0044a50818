#include "world/book/scenery.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "world/book/arithmetic.h"
#include "world/world.h"

namespace t2v {

double BookView::unit() const { return std::sqrt(static_cast<double>(width) * static_cast<double>(height)); }
double BookView::half_height() const { return height / unit() / 2; }

BookLayer BookPainter::layer(double depth) const {
  const double zoom = 1 + (view.zoom - 1) * (0.4 + 0.6 * depth), scale = view.unit() * zoom;
  return {static_cast<float>(scale), static_cast<float>(view.width / 2.0 - view.x * depth * scale),
          static_cast<float>(view.height / 2.0 - view.y * depth * scale)};
}

float BookPainter::random(int kind, int64_t i) const {
  const uint64_t hash = book_mix(seed ^
                                 book_mix(static_cast<uint64_t>(i) * 64 + static_cast<uint64_t>(kind)));
  return static_cast<float>(static_cast<double>(hash >> 11) * 0x1p-53);
}

float BookPainter::height(double share) const {
  return static_cast<float>((share * 2 - 1) * view.half_height());
}

float BookPainter::horizon(double share, double vary) const {
  return height(share + vary * (2 * static_cast<double>(random(0, 0)) - 1));
}

void BookPainter::sky(BookColour top, BookColour bottom, double horizon_share) {
  const auto far = layer(0.1);
  canvas.fill({top, bottom, far.py(height(0)), far.py(height(horizon_share))});
}

void BookPainter::hills(double depth, float y, float swell, float length, int kind, const BookPaint& paint) {
  const auto on = layer(depth);
  std::vector<float> tops(static_cast<std::size_t>(view.width));
  const double phase = random(kind, 1), second = random(kind, 2), third = random(kind, 3);
  for (std::size_t c = 0; c < tops.size(); ++c) {
    const double turns = on.place_x(static_cast<float>(c) + 0.5F) / length;
    const double wave = book_sin_turns(turns + phase) + 0.5 * book_sin_turns(turns * 1.9 + second) +
                        0.25 * book_sin_turns(turns * 3.7 + third);
    tops[c] = on.py(y + swell * static_cast<float>(wave) / 1.75F);
  }
  canvas.below(tops, paint);
}

void BookPainter::clouds(double depth, double from, double to, int kind, BookColour colour, float size) {
  const auto on = layer(depth);
  cells(on, 0.62F * size, [&](int64_t i) {
    if (random(kind, i * 8) < 0.2F) return;
    const float x = on.px((static_cast<float>(i) + mix(0.25F, 0.75F, kind, i * 8 + 1)) * 0.62F * size);
    const float y = on.py(height(from + (to - from) * static_cast<double>(random(kind, i * 8 + 2))));
    const float r = on.scale * mix(0.07F, 0.12F, kind, i * 8 + 3) * size;
    canvas.ellipse(x, y, r * 1.5F, r * 0.42F, colour);
    canvas.ellipse(x - r * 0.55F, y - r * 0.25F, r * 0.55F, r * 0.45F, colour);
    canvas.ellipse(x + r * 0.6F, y - r * 0.2F, r * 0.5F, r * 0.38F, colour);
    canvas.ellipse(x + r * 0.05F, y - r * 0.45F, r * 0.65F, r * 0.6F, colour);
  });
}

void BookPainter::stars(double depth, double from, double to, BookColour colour) {
  const auto on = layer(depth);
  constexpr float cell = 0.17F;
  const auto rows = static_cast<int64_t>(view.half_height() * (to - from) * 2 / static_cast<double>(cell)) +
                    3;
  cells(on, cell, [&](int64_t i) {
    for (int64_t j = -1; j < rows; ++j) {
      const int64_t star = (i * 64 + j) * 4;
      if (random(7, star) < 0.25F) continue;
      const float x = on.px((static_cast<float>(i) + mix(0.1F, 0.9F, 7, star + 1)) * cell);
      const float y = on.py(height(from) + (static_cast<float>(j) + mix(0.1F, 0.9F, 7, star + 2)) * cell);
      const float r = on.scale * (random(7, star + 3) < 0.2F ? 0.015F : mix(0.007F, 0.010F, 7, star + 3));
      if (y < on.py(height(to))) canvas.ellipse(x, y, r, r, colour);
    }
  });
}

void BookPainter::pine(const BookLayer& on, float x, float foot, float tall, BookColour light,
                       BookColour dark, BookColour trunk) {
  const float cx = on.px(x), base = on.py(foot), h = tall * on.scale;
  canvas.rectangle(cx - h * 0.045F, base - h * 0.2F, cx + h * 0.045F, base, trunk);
  for (int tier = 0; tier < 3; ++tier) {
    const float low = base - h * (0.13F + 0.24F * static_cast<float>(tier));
    const float top = low - h * (0.44F - 0.02F * static_cast<float>(tier));
    const float half = h * (0.27F - 0.055F * static_cast<float>(tier));
    canvas.polygon({{cx, top}, {cx + half, low}, {cx - half, low}}, light);
    canvas.polygon({{cx, top}, {cx + half, low}, {cx + half * 0.15F, low}}, dark);
  }
}

void BookPainter::tree(const BookLayer& on, float x, float foot, float tall, BookColour crown,
                       BookColour trunk) {
  const float cx = on.px(x), base = on.py(foot), h = tall * on.scale;
  canvas.rectangle(cx - h * 0.05F, base - h * 0.45F, cx + h * 0.05F, base, trunk);
  canvas.ellipse(cx - h * 0.16F, base - h * 0.55F, h * 0.2F, h * 0.19F, crown);
  canvas.ellipse(cx + h * 0.16F, base - h * 0.55F, h * 0.2F, h * 0.19F, crown);
  canvas.ellipse(cx, base - h * 0.75F, h * 0.24F, h * 0.24F, crown);
}

void draw_scenery(int place, uint64_t seed, const BookView& view, Canvas& canvas) {
  using Draw = void (*)(BookPainter&);
  constexpr std::array<Draw, 15> draw{draw_meadow,       draw_green_hills, draw_pine_forest, draw_snowy_field,
                                      draw_desert,       draw_beach,       draw_sea,         draw_under_water,
                                      draw_road,         draw_city,        draw_mountains,   draw_blue_sky,
                                      draw_starry_night, draw_outer_space, draw_sunset};
  const auto index = static_cast<std::size_t>(place);
  if (index >= draw.size()) {
    const auto rgb = world_background_rgb(static_cast<int>(index - draw.size()));
    canvas.fill(book_rgb(rgb[0], rgb[1], rgb[2]));
    return;
  }
  BookPainter painter{view, canvas, seed};
  draw[index](painter);
}

}  // namespace t2v
