// Beach, sea, under water, sunset.
#include <algorithm>
#include <cmath>

#include "world/book/arithmetic.h"
#include "world/book/scenery.h"

namespace t2v {

namespace {

// Water down to the bottom whose edge has crests `length` units apart that travel at `speed` units a second.
void waves(BookPainter& p, double depth, float y, float swell, float length, double speed, int kind,
           const BookPaint& paint) {
  const auto on = p.layer(depth);
  const double phase = p.random(kind, 1), travelled = speed * p.view.seconds;
  std::vector<float> tops(static_cast<std::size_t>(p.view.width));
  for (std::size_t c = 0; c < tops.size(); ++c) {
    const double turns = (on.place_x(static_cast<float>(c) + 0.5F) + travelled) / length + phase;
    tops[c] = on.py(y + swell * static_cast<float>(book_sin_turns(turns)));
  }
  p.canvas.below(tops, paint);
}

// Level water from y to the bottom.
void water(BookPainter& p, double depth, float y, const BookPaint& paint) {
  const std::vector<float> tops(static_cast<std::size_t>(p.view.width), p.layer(depth).py(y));
  p.canvas.below(tops, paint);
}

// A plant of round leaves that sways.
void seaweed(BookPainter& p, const BookLayer& on, float x, float foot, float tall, int64_t i,
             BookColour colour) {
  constexpr int parts = 18;
  for (int k = 0; k < parts; ++k) {
    const float up = static_cast<float>(k) / parts;
    const double turns = 0.25 * p.view.seconds + static_cast<double>(p.random(20, i)) -
                         0.55 * static_cast<double>(up);
    const float bend = 0.03F * up * static_cast<float>(book_sin_turns(turns)) +
                       0.016F * static_cast<float>(book_sin_turns(1.3 * static_cast<double>(up)));
    const float r = on.scale * 0.028F * (1 - 0.55F * up);
    p.canvas.ellipse(on.px(x + bend), on.py(foot - tall * up), r, r * 1.3F, colour);
  }
}

}  // namespace

void draw_beach(BookPainter& p) {
  p.sky(book_rgb(104, 190, 246), book_rgb(208, 238, 250), 0.45);
  p.clouds(0.2, 0.06, 0.24, 1, kWhite, 0.9F);
  const float hz = p.horizon(0.4, 0.05), shore = hz + 0.2F * static_cast<float>(p.view.half_height() * 2);
  const auto far = p.layer(0.4);
  water(p, 0.4, hz, {book_rgb(28, 128, 200), book_rgb(84, 200, 214), far.py(hz), far.py(shore)});
  const float tide = 0.012F * static_cast<float>(book_sin_turns(0.3 * p.view.seconds));
  waves(p, 0.9, shore + tide, 0.012F, 0.5F, 0.06, 2, book_rgb(238, 250, 250));
  waves(p, 0.9, shore + 0.028F + 0.6F * tide, 0.012F, 0.5F, 0.06, 2, book_rgb(222, 190, 126));
  waves(p, 0.95, shore + 0.055F, 0.010F, 0.8F, 0, 3, book_rgb(242, 214, 152));
  const auto on = p.layer(1);
  p.cells(on, 0.5F, [&](int64_t i) {
    for (int64_t j = 0; j < 2; ++j) {
      const int64_t patch = (i * 2 + j) * 4;
      const float along = (static_cast<float>(j) + p.random(4, patch)) / 2;
      const float x = on.px((static_cast<float>(i) + p.random(4, patch + 1)) * 0.5F);
      const float r = on.scale * p.mix(0.04F, 0.08F, 4, patch + 2);
      p.canvas.ellipse(x, on.py(shore + 0.13F + 0.4F * along), r, r * 0.18F, book_rgb(230, 198, 134));
    }
  });
}

void draw_sea(BookPainter& p) {
  p.sky(book_rgb(122, 198, 246), book_rgb(214, 240, 250), 0.45);
  p.clouds(0.2, 0.06, 0.26, 1, kWhite);
  const float hz = p.horizon(0.42, 0.07);
  water(p, 0.3, hz, book_rgb(96, 176, 220));
  waves(p, 0.45, hz + 0.07F, 0.008F, 0.17F, 0.05, 2, book_rgb(66, 152, 208));
  waves(p, 0.6, hz + 0.15F, 0.012F, 0.22F, -0.08, 3, book_rgb(44, 130, 194));
  waves(p, 0.75, hz + 0.25F, 0.016F, 0.28F, 0.11, 4, book_rgb(30, 108, 176));
  waves(p, 0.9, hz + 0.38F, 0.020F, 0.34F, -0.13, 5, book_rgb(20, 88, 154));
  waves(p, 1, hz + 0.54F, 0.024F, 0.40F, 0.16, 6, book_rgb(14, 70, 132));
}

void draw_under_water(BookPainter& p) {
  const auto far = p.layer(0.2), on = p.layer(0.85), near = p.layer(1);
  p.canvas.fill({book_rgb(96, 206, 232), book_rgb(14, 76, 146), far.py(p.height(0)), far.py(p.height(1))});
  p.cells(far, 0.3F, [&](int64_t i) {  // rays of light
    if (p.random(1, i) < 0.25F) return;
    const double turns = 0.15 * p.view.seconds + static_cast<double>(p.random(2, i));
    const float x = (static_cast<float>(i) + p.random(3, i)) * 0.3F +
                    0.02F * static_cast<float>(book_sin_turns(turns));
    const float top = far.py(p.height(-0.2)), low = far.py(p.height(0.9)), w = p.mix(0.03F, 0.07F, 4, i);
    p.canvas.polygon(
        {{far.px(x), top}, {far.px(x + w), top}, {far.px(x + w * 2 - 0.3F), low}, {far.px(x - 0.3F), low}},
        {book_rgb(190, 240, 248), book_rgb(40, 120, 180), top, low}, 0.22F);
  });
  const float floor = p.horizon(0.86, 0.04);
  p.hills(0.6, floor - 0.06F, 0.04F, 0.9F, 5, book_rgb(24, 92, 140));
  p.cells(on, 0.22F, [&](int64_t i) {
    if (p.random(6, i) < 0.35F) return;
    seaweed(p, on, (static_cast<float>(i) + p.mix(0.2F, 0.8F, 7, i)) * 0.22F, floor + 0.06F,
            p.mix(0.2F, 0.42F, 8, i), i,
            p.random(9, i) < 0.5F ? book_rgb(24, 132, 112) : book_rgb(40, 152, 104));
  });
  p.hills(1, floor + 0.02F, 0.025F, 1.1F, 10, book_rgb(196, 180, 134));
  p.cells(near, 0.28F, [&](int64_t i) {  // bubbles, each on its way up again and again
    const float way = p.height(1.1) - p.height(-0.1);
    const double rise = 0.12 * p.view.seconds +
                        static_cast<double>(p.random(11, i)) * static_cast<double>(way);
    const float risen = static_cast<float>(rise - std::floor(rise / static_cast<double>(way)) *
                                                      static_cast<double>(way));
    const float x = near.px((static_cast<float>(i) + p.mix(0.2F, 0.8F, 12, i)) * 0.28F);
    const float y = near.py(p.height(1.1) - risen), r = near.scale * p.mix(0.018F, 0.034F, 13, i);
    p.canvas.ellipse(x, y, r, r, book_rgb(190, 236, 248), 0.75F);
    p.canvas.ellipse(x, y, r * 0.62F, r * 0.62F, book_rgb(110, 196, 228), 0.75F);
  });
}

void draw_sunset(BookPainter& p) {
  p.sky(book_rgb(196, 78, 110), book_rgb(255, 190, 104), 0.58);
  const float hz = p.horizon(0.56, 0.06);
  const auto far = p.layer(0.15);
  const float x = far.px(p.mix(-0.3F, 0.3F, 1, 0)), y = far.py(hz - 0.05F), r = far.scale * 0.17F;
  p.canvas.glow(x, y, r * 2.4F, r * 2.4F, book_rgb(255, 220, 140), 0.55F);
  p.canvas.ellipse(x, y, r, r, book_rgb(255, 236, 158));
  p.cells(p.layer(0.25), 0.7F, [&](int64_t i) {  // streaks of cloud
    const auto on = p.layer(0.25);
    const float cx = on.px((static_cast<float>(i) + p.random(2, i)) * 0.7F);
    const float cy = on.py(p.height(0.1) + p.random(3, i) * (hz - 0.18F - p.height(0.1)));
    const float w = on.scale * p.mix(0.16F, 0.26F, 4, i);
    p.canvas.ellipse(cx, cy, w, w * 0.11F, book_rgb(238, 132, 112));
    p.canvas.ellipse(cx + w * 0.5F, cy + w * 0.16F, w * 0.7F, w * 0.09F, book_rgb(238, 132, 112));
  });
  p.hills(0.4, hz, 0.04F, 1.1F, 5, book_rgb(146, 78, 118));
  p.hills(0.7, hz + 0.10F, 0.05F, 1.4F, 6, book_rgb(104, 58, 104));
  p.hills(1, hz + 0.20F, 0.04F, 1.8F, 7, book_rgb(68, 42, 84));
}

}  // namespace t2v
