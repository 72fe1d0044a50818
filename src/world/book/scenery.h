// The places of the picture book, drawn by code at any size. Internal to this folder.
//
// Coordinates of a place are in units of sqrt(width · height), the origin in the centre of the frame, y down;
// what is far moves less when the camera pans or zooms (its layer's depth, 0 to 1; things are at 1).
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "world/book/canvas.h"

namespace t2v {

inline constexpr auto kWhite = book_rgb(255, 255, 255);

// Where the camera is in one frame. zoom: 1 shows the place as it was laid out.
struct BookView {
  int width = 0, height = 0;
  double x = 0, y = 0, zoom = 1;
  double seconds = 0;
  double unit() const;         // pixels
  double half_height() const;  // units
};

// place: index into book_places(). seed: which meadow it is.
void draw_scenery(int place, uint64_t seed, const BookView& view, Canvas& canvas);

// A layer of a place: pixel = place · scale + offset.
struct BookLayer {
  float scale = 1, x = 0, y = 0;
  float px(float place_x) const { return place_x * scale + x; }
  float py(float place_y) const { return place_y * scale + y; }
  float place_x(float pixel) const { return (pixel - x) / scale; }
};

// What the places are painted with.
struct BookPainter {
  const BookView& view;
  Canvas& canvas;
  uint64_t seed;

  BookLayer layer(double depth) const;
  // A number of [0, 1) that belongs to the i-th thing of a kind, wherever the camera is.
  float random(int kind, int64_t i) const;
  float mix(float low, float high, int kind, int64_t i) const { return low + (high - low) * random(kind, i); }
  // Of a height in the frame, 0 its top and 1 its bottom, the place's y.
  float height(double share) const;
  // Where the horizon is on that layer when it is `share` of the frame down, more or less by `vary`.
  float horizon(double share, double vary) const;
  // Cells of `width` units that the frame shows on a layer, and one more on each side.
  template <class Visit>
  void cells(const BookLayer& on, float width, const Visit& visit) const {
    const auto first = static_cast<int64_t>(std::floor(on.place_x(0) / width)) - 1;
    const auto last = static_cast<int64_t>(std::floor(on.place_x(static_cast<float>(view.width)) / width)) +
                      1;
    for (int64_t i = first; i <= last; ++i) visit(i);
  }

  void sky(BookColour top, BookColour bottom, double horizon_share);
  // Ground from rolling hills of `swell` units (the first of three sines has `length` units a wave) down to
  // the bottom of the frame.
  void hills(double depth, float y, float swell, float length, int kind, const BookPaint& paint);
  void clouds(double depth, double from, double to, int kind, BookColour colour, float size = 1);
  void stars(double depth, double from, double to, BookColour colour);
  void pine(const BookLayer& on, float x, float foot, float tall, BookColour light, BookColour dark,
            BookColour trunk);
  void tree(const BookLayer& on, float x, float foot, float tall, BookColour crown, BookColour trunk);
};

// One function a place, by where it stands in book_places().
void draw_meadow(BookPainter& painter);
void draw_green_hills(BookPainter& painter);
void draw_pine_forest(BookPainter& painter);
void draw_snowy_field(BookPainter& painter);
void draw_desert(BookPainter& painter);
void draw_beach(BookPainter& painter);
void draw_sea(BookPainter& painter);
void draw_under_water(BookPainter& painter);
void draw_road(BookPainter& painter);
void draw_city(BookPainter& painter);
void draw_mountains(BookPainter& painter);
void draw_blue_sky(BookPainter& painter);
void draw_starry_night(BookPainter& painter);
void draw_outer_space(BookPainter& painter);
void draw_sunset(BookPainter& painter);

}  // namespace t2v
