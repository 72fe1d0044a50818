// Blue sky, starry night, outer space.
#include <cmath>

#include "world/book/scenery.h"

namespace t2v {

void draw_blue_sky(BookPainter& p) {
  const auto far = p.layer(0.1);
  p.canvas.fill({book_rgb(74, 156, 236), book_rgb(186, 224, 250), far.py(p.height(0)), far.py(p.height(1))});
  p.clouds(0.35, -0.3, 0.35, 1, book_rgb(224, 240, 252), 0.8F);
  p.clouds(0.35, 0.35, 0.7, 2, book_rgb(224, 240, 252), 0.8F);
  p.clouds(0.65, 0.05, 0.55, 3, book_rgb(255, 255, 255), 1.1F);
  p.clouds(0.8, 0.75, 1.15, 4, book_rgb(255, 255, 255), 1.5F);
}

void draw_starry_night(BookPainter& p) {
  const float hz = p.horizon(0.78, 0.05);
  p.sky(book_rgb(14, 20, 66), book_rgb(62, 72, 140), 0.85);
  p.stars(0.2, -0.25, 0.9, book_rgb(255, 246, 206));
  p.hills(0.5, hz, 0.06F, 1.2F, 1, book_rgb(36, 48, 92));
  p.hills(1, hz + 0.1F, 0.04F, 1.7F, 2, book_rgb(22, 34, 62));
}

void draw_outer_space(BookPainter& p) {
  p.canvas.fill(book_rgb(10, 8, 26));
  const auto mist = p.layer(0.1), on = p.layer(0.35);
  for (int64_t i = 0; i < 3; ++i) {
    const float x = mist.px(p.mix(-0.6F, 0.6F, 1, i)),
                y = mist.py(p.height(0.15 + 0.7 * static_cast<double>(p.random(2, i))));
    const float r = mist.scale * p.mix(0.4F, 0.6F, 3, i);
    p.canvas.glow(x, y, r, r * 0.6F, i % 2 == 0 ? book_rgb(92, 34, 120) : book_rgb(30, 52, 130), 0.6F);
  }
  p.stars(0.2, -0.25, 1.25, book_rgb(255, 252, 236));
  // A planet with a ring, half of it behind, and a moon on the other side.
  const bool left = p.random(4, 0) < 0.5F;
  const float side = left ? -1.0F : 1.0F, half = static_cast<float>(p.view.width / p.view.unit() / 2);
  const float x = on.px(side * half * p.mix(0.45F, 0.7F, 4, 1)),
              y = on.py(p.height(p.random(4, 2) < 0.5F ? 0.22 : 0.76));
  const float r = on.scale * p.mix(0.11F, 0.15F, 4, 3);
  const auto body = p.random(4, 4) < 0.5F ? book_rgb(226, 142, 88) : book_rgb(112, 168, 206);
  const auto ring = book_rgb(238, 214, 170);
  p.canvas.ellipse(x, y, r * 1.75F, r * 0.42F, ring);
  p.canvas.ellipse(x, y, r * 1.45F, r * 0.30F, book_rgb(18, 14, 40));
  p.canvas.ellipse(x, y, r, r, body);
  p.canvas.ellipse(x - r * 0.2F, y - r * 0.35F, r * 0.5F, r * 0.16F, book_rgb(255, 236, 210), 0.35F);
  for (int k = -12; k <= 12; ++k) {  // the near half of the ring
    const float t = static_cast<float>(k) / 12, across = t * r * 1.6F;
    const float down = r * 0.36F * std::sqrt(std::max(0.0F, 1 - t * t));
    p.canvas.ellipse(x + across, y + down, r * 0.09F, r * 0.065F, ring);
  }
  const float moon = on.scale * 0.05F;
  p.canvas.ellipse(on.px(-side * half * p.mix(0.4F, 0.8F, 5, 1)), on.py(p.height(p.mix(0.15F, 0.85F, 5, 2))),
                   moon, moon, book_rgb(176, 180, 196));
}

}  // namespace t2v
