// Road, city.
#include <algorithm>
#include <cmath>

#include "world/book/scenery.h"

namespace t2v {

namespace {

// One house front: windows in rows of `columns`, about 5 pixels in a frame of 128.
void building(BookPainter& p, const BookLayer& on, float left, float wide, float tall, float foot, int64_t i,
              BookColour wall, BookColour window) {
  const float x0 = on.px(left), x1 = on.px(left + wide), base = on.py(foot), top = base - tall * on.scale;
  p.canvas.rectangle(x0, top, x1, base, wall);
  const int columns = std::max(2, static_cast<int>(wide / 0.075F));
  const float step = (x1 - x0) / static_cast<float>(columns), rise = on.scale * 0.085F;
  for (int row = 0; top + rise * (static_cast<float>(row) + 1) < base - rise * 0.5F; ++row)
    for (int column = 0; column < columns; ++column) {
      if (p.random(15, (i * 16 + row) * 8 + column) < 0.25F) continue;
      const float x = x0 + step * (static_cast<float>(column) + 0.25F);
      const float y = top + rise * (static_cast<float>(row) + 0.4F);
      p.canvas.rectangle(x, y, x + step * 0.5F, y + rise * 0.52F, window);
    }
}

// A level band of ground between two heights.
void band(BookPainter& p, double depth, float from, float to, BookColour colour) {
  const auto on = p.layer(depth);
  p.canvas.rectangle(-2, on.py(from), static_cast<float>(p.view.width) + 2, std::max(on.py(to), on.py(from)),
                     colour);
}

void dashes(BookPainter& p, float y, float thick, float length, BookColour colour) {
  const auto on = p.layer(1);
  p.cells(on, length * 2, [&](int64_t i) {
    const float x = static_cast<float>(i) * length * 2 + p.random(14, 0) * length;
    p.canvas.rectangle(on.px(x), on.py(y - thick / 2), on.px(x + length), on.py(y + thick / 2), colour);
  });
}

}  // namespace

void draw_road(BookPainter& p) {
  p.sky(book_rgb(116, 190, 246), book_rgb(214, 238, 250), 0.5);
  p.clouds(0.2, 0.06, 0.24, 1, kWhite);
  const float hz = p.horizon(0.46, 0.05), hh = static_cast<float>(p.view.half_height());
  p.hills(0.4, hz, 0.05F, 1.3F, 2, book_rgb(150, 204, 128));
  const auto on = p.layer(0.7);
  p.cells(on, 0.5F, [&](int64_t i) {
    if (p.random(3, i) < 0.2F) return;
    p.tree(on, (static_cast<float>(i) + p.mix(0.25F, 0.75F, 4, i)) * 0.5F, hz + 0.09F,
           p.mix(0.2F, 0.28F, 5, i), book_rgb(72, 148, 74), book_rgb(120, 82, 52));
  });
  p.hills(0.7, hz + 0.07F, 0.008F, 1.7F, 6, book_rgb(116, 182, 88));
  const float kerb = hz + 0.2F * hh * 2, end = kerb + 0.27F * hh * 2;
  p.hills(1, kerb - 0.06F, 0, 1, 7, book_rgb(98, 168, 74));
  band(p, 1, kerb - 0.016F, end + 0.016F, book_rgb(216, 214, 206));
  band(p, 1, kerb, end, book_rgb(88, 90, 100));
  dashes(p, (kerb + end) / 2, 0.026F, 0.17F, book_rgb(250, 240, 200));
}

void draw_city(BookPainter& p) {
  p.sky(book_rgb(132, 194, 240), book_rgb(222, 238, 246), 0.7);
  p.clouds(0.15, 0.05, 0.2, 1, kWhite, 0.8F);
  const float street = p.horizon(0.7, 0.04);
  const auto back = p.layer(0.45), front = p.layer(0.7);
  p.cells(back, 0.2F, [&](int64_t i) {
    building(p, back, static_cast<float>(i) * 0.2F, 0.17F, p.mix(0.38F, 0.6F, 2, i), street + 0.05F, i,
             book_rgb(160, 184, 206), book_rgb(188, 208, 224));
  });
  constexpr BookColour walls[] = {book_rgb(206, 110, 92), book_rgb(94, 128, 164), book_rgb(222, 176, 112),
                                  book_rgb(124, 116, 150)};
  p.cells(front, 0.3F, [&](int64_t i) {
    building(p, front, (static_cast<float>(i) + 0.06F) * 0.3F, p.mix(0.22F, 0.28F, 3, i),
             p.mix(0.2F, 0.46F, 4, i), street + 0.02F, i + 1000,
             walls[static_cast<std::size_t>(p.random(5, i) * 4) % 4], book_rgb(252, 234, 168));
  });
  p.hills(0.85, street, 0, 1, 6, book_rgb(198, 196, 190));
  p.hills(1, street + 0.055F, 0, 1, 7, book_rgb(94, 96, 106));
  dashes(p, street + 0.2F, 0.02F, 0.14F, book_rgb(236, 232, 214));
}

}  // namespace t2v
