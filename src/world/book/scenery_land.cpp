// Meadow, green hills, pine forest, snowy field, desert, mountains.
#include <algorithm>
#include <cmath>

#include "world/book/scenery.h"

namespace t2v {

namespace {

constexpr auto kTrunk = book_rgb(120, 82, 52);

// Flat patches of another colour on the ground between two heights.
void patches(BookPainter& p, float from, float to, int kind, BookColour colour) {
  const auto on = p.layer(1);
  p.cells(on, 0.4F, [&](int64_t i) {
    for (int64_t j = 0; j < 3; ++j) {
      const int64_t patch = (i * 4 + j) * 4;
      const float along = (static_cast<float>(j) + p.random(kind, patch)) / 3;
      const float x = on.px((static_cast<float>(i) + p.random(kind, patch + 1)) * 0.4F);
      const float r = on.scale * (0.02F + 0.05F * along) * p.mix(0.8F, 1.3F, kind, patch + 2);
      p.canvas.ellipse(x, on.py(from + (to - from) * along), r, r * 0.2F, colour);
    }
  });
}

void flowers(BookPainter& p, float from, float to, int kind) {
  const auto on = p.layer(1);
  p.cells(on, 0.3F, [&](int64_t i) {
    for (int64_t j = 0; j < 2; ++j) {
      const int64_t flower = (i * 2 + j) * 4;
      const float along = (static_cast<float>(j) + p.random(kind, flower)) / 2;
      const float x = on.px((static_cast<float>(i) + p.random(kind, flower + 1)) * 0.3F);
      const float y = on.py(from + (to - from) * along), r = on.scale * (0.011F + 0.007F * along);
      const auto colour = p.random(kind, flower + 2) < 0.5F ? kWhite : book_rgb(255, 222, 90);
      p.canvas.ellipse(x, y, r, r, colour);
    }
  });
}

void mesa(BookPainter& p, const BookLayer& on, float x, float foot, float wide, float tall, BookColour light,
          BookColour dark) {
  const float cx = on.px(x), base = on.py(foot), w = wide * on.scale, top = base - tall * on.scale;
  p.canvas.polygon(
      {{cx - w * 0.36F, top}, {cx + w * 0.36F, top}, {cx + w * 0.5F, base}, {cx - w * 0.5F, base}}, light);
  p.canvas.polygon(
      {{cx + w * 0.16F, top}, {cx + w * 0.36F, top}, {cx + w * 0.5F, base}, {cx + w * 0.26F, base}}, dark);
}

// A mountain with its shadow side and a cap of snow.
void mountain(BookPainter& p, const BookLayer& on, float x, float foot, float wide, float tall,
              BookColour light, BookColour dark) {
  const float cx = on.px(x), base = on.py(foot), w = wide * on.scale, h = tall * on.scale, top = base - h;
  p.canvas.polygon({{cx, top}, {cx + w, base}, {cx - w, base}}, light);
  p.canvas.polygon({{cx, top}, {cx + w, base}, {cx + w * 0.15F, base}}, dark);
  const float cap = 0.3F;
  p.canvas.polygon({{cx, top},
                    {cx + w * cap, top + h * cap},
                    {cx + w * 0.02F, top + h * (cap - 0.09F)},
                    {cx - w * 0.14F, top + h * (cap + 0.05F)},
                    {cx - w * cap, top + h * cap}},
                   book_rgb(246, 249, 253));
}

}  // namespace

void draw_meadow(BookPainter& p) {
  p.sky(book_rgb(110, 190, 245), book_rgb(208, 236, 250), 0.55);
  p.clouds(0.25, 0.08, 0.32, 1, kWhite);
  const float hz = p.horizon(0.5, 0.07);
  p.hills(0.5, hz, 0.03F, 1.9F, 2, book_rgb(146, 201, 104));
  p.hills(1, hz + 0.09F, 0.02F, 2.4F, 3, book_rgb(110, 184, 76));
  patches(p, hz + 0.14F, hz + 0.62F, 4, book_rgb(94, 168, 64));
  flowers(p, hz + 0.15F, hz + 0.6F, 5);
}

void draw_green_hills(BookPainter& p) {
  p.sky(book_rgb(96, 178, 240), book_rgb(196, 230, 250), 0.6);
  const auto far = p.layer(0.1);
  const float r = far.scale * 0.085F;
  p.canvas.ellipse(far.px(p.mix(-0.35F, 0.35F, 1, 0)), far.py(p.height(0.16)), r, r, book_rgb(255, 224, 110));
  p.clouds(0.2, 0.1, 0.28, 2, kWhite);
  const float hz = p.horizon(0.5, 0.06);
  p.hills(0.35, hz - 0.05F, 0.10F, 1.0F, 3, book_rgb(152, 206, 130));
  p.hills(0.6, hz + 0.06F, 0.11F, 1.25F, 4, book_rgb(104, 178, 88));
  p.hills(1, hz + 0.20F, 0.07F, 1.5F, 5, book_rgb(70, 148, 66));
}

void draw_pine_forest(BookPainter& p) {
  p.sky(book_rgb(176, 214, 214), book_rgb(232, 240, 214), 0.6);
  const float hz = p.horizon(0.56, 0.05);
  const auto back = p.layer(0.4), front = p.layer(0.7);
  p.cells(back, 0.15F, [&](int64_t i) {
    p.pine(back, (static_cast<float>(i) + p.random(1, i)) * 0.15F, hz + 0.06F, p.mix(0.36F, 0.5F, 2, i),
           book_rgb(150, 190, 150), book_rgb(136, 178, 140), book_rgb(140, 130, 110));
  });
  p.hills(0.4, hz + 0.02F, 0.02F, 1.6F, 3, book_rgb(132, 172, 110));
  p.cells(front, 0.25F, [&](int64_t i) {
    p.pine(front, (static_cast<float>(i) + p.mix(0.2F, 0.8F, 4, i)) * 0.25F, hz + 0.12F,
           p.mix(0.42F, 0.6F, 5, i), book_rgb(52, 128, 78), book_rgb(38, 108, 68), kTrunk);
  });
  p.hills(1, hz + 0.10F, 0.012F, 1.8F, 6, book_rgb(98, 144, 72));
  patches(p, hz + 0.15F, hz + 0.6F, 7, book_rgb(84, 128, 62));
}

void draw_snowy_field(BookPainter& p) {
  p.sky(book_rgb(130, 176, 222), book_rgb(206, 226, 244), 0.55);
  const float hz = p.horizon(0.5, 0.07);
  p.hills(0.35, hz, 0.06F, 1.5F, 1, book_rgb(186, 206, 230));
  const auto on = p.layer(0.55);
  p.cells(on, 0.42F, [&](int64_t i) {
    if (p.random(2, i) < 0.25F) return;
    p.pine(on, (static_cast<float>(i) + p.mix(0.2F, 0.8F, 3, i)) * 0.42F, hz + 0.09F,
           p.mix(0.17F, 0.24F, 4, i), book_rgb(226, 238, 246), book_rgb(120, 160, 160),
           book_rgb(130, 110, 100));
  });
  p.hills(0.6, hz + 0.09F, 0.03F, 1.7F, 5, book_rgb(218, 230, 243));
  p.hills(1, hz + 0.18F, 0.03F, 2.2F, 6, book_rgb(240, 246, 252));
  patches(p, hz + 0.24F, hz + 0.62F, 7, book_rgb(222, 232, 245));
}

void draw_desert(BookPainter& p) {
  p.sky(book_rgb(250, 186, 104), book_rgb(255, 232, 176), 0.55);
  const auto far = p.layer(0.1), on = p.layer(0.35);
  const float r = far.scale * 0.08F;
  p.canvas.ellipse(far.px(p.mix(-0.35F, 0.35F, 1, 0)), far.py(p.height(0.2)), r, r, book_rgb(255, 246, 206));
  const float hz = p.horizon(0.5, 0.06);
  p.cells(on, 0.55F, [&](int64_t i) {
    if (p.random(2, i) < 0.3F) return;
    mesa(p, on, (static_cast<float>(i) + p.mix(0.3F, 0.7F, 3, i)) * 0.55F, hz + 0.06F,
         p.mix(0.2F, 0.36F, 4, i), p.mix(0.12F, 0.22F, 5, i), book_rgb(214, 128, 82), book_rgb(190, 104, 68));
  });
  p.hills(0.5, hz + 0.03F, 0.05F, 1.2F, 6, book_rgb(238, 184, 104));
  p.hills(0.75, hz + 0.12F, 0.06F, 1.5F, 7, book_rgb(228, 164, 82));
  p.hills(1, hz + 0.22F, 0.05F, 1.9F, 8, book_rgb(214, 142, 64));
}

void draw_mountains(BookPainter& p) {
  p.sky(book_rgb(112, 176, 232), book_rgb(214, 234, 248), 0.6);
  p.clouds(0.15, 0.06, 0.22, 1, kWhite, 0.8F);
  const float hz = p.horizon(0.62, 0.05);
  const auto back = p.layer(0.3), front = p.layer(0.5);
  p.cells(back, 0.42F, [&](int64_t i) {
    mountain(p, back, (static_cast<float>(i) + p.mix(0.2F, 0.8F, 2, i)) * 0.42F, hz + 0.1F,
             p.mix(0.3F, 0.4F, 3, i), p.mix(0.42F, 0.54F, 4, i), book_rgb(142, 160, 194),
             book_rgb(122, 140, 178));
  });
  p.cells(front, 0.7F, [&](int64_t i) {
    mountain(p, front, (static_cast<float>(i) + p.mix(0.2F, 0.8F, 5, i)) * 0.7F, hz + 0.12F,
             p.mix(0.3F, 0.42F, 6, i), p.mix(0.3F, 0.42F, 7, i), book_rgb(108, 120, 152),
             book_rgb(86, 98, 132));
  });
  p.hills(0.75, hz + 0.03F, 0.03F, 1.3F, 8, book_rgb(104, 156, 104));
  p.hills(1, hz + 0.12F, 0.03F, 1.8F, 9, book_rgb(78, 132, 82));
}

}  // namespace t2v
