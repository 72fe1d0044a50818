// Drawing flat, antialiased shapes into one frame. Coordinates are pixels: the centre of the first pixel is
// (0.5, 0.5). Colours are in the frames' range, [-1, 1].
#pragma once

#include <cstdint>
#include <vector>

namespace t2v {

struct BookColour {
  float red = 0, green = 0, blue = 0;
};

constexpr BookColour book_rgb(int red, int green, int blue) {
  return {static_cast<float>(red) / 127.5F - 1, static_cast<float>(green) / 127.5F - 1,
          static_cast<float>(blue) / 127.5F - 1};
}

// One colour, or a gradient from `top` at the row `from` to `bottom` at the row `to`.
struct BookPaint {
  BookColour top, bottom;
  float from = 0, to = 0;
  BookPaint(BookColour colour) : top(colour), bottom(colour) {}  // NOLINT(google-explicit-constructor)
  BookPaint(BookColour above, BookColour below, float first, float last)
      : top(above), bottom(below), from(first), to(last) {}
  BookColour at(float row) const;
};

struct BookPoint {
  float x = 0, y = 0;
};

class Canvas {
 public:
  // Three planes of width x height, `plane` floats apart.
  Canvas(float* pixels, int width, int height, int64_t plane)
      : pixels_(pixels), width_(width), height_(height), plane_(plane) {}
  int width() const { return width_; }
  int height() const { return height_; }
  float* row(int channel, int y) const {
    return pixels_ + channel * plane_ + static_cast<int64_t>(y) * width_;
  }

  void fill(const BookPaint& paint);
  // Everything below a line that has the height tops[c] in the middle of each column c.
  void below(const std::vector<float>& tops, const BookPaint& paint);
  void rectangle(float left, float top, float right, float bottom, const BookPaint& paint, float alpha = 1);
  void ellipse(float x, float y, float radius_x, float radius_y, const BookPaint& paint, float alpha = 1);
  // An ellipse that fades from `alpha` in its centre to nothing at its rim.
  void glow(float x, float y, float radius_x, float radius_y, const BookPaint& paint, float alpha);
  // Convex; the corners clockwise as seen.
  void polygon(const std::vector<BookPoint>& corners, const BookPaint& paint, float alpha = 1);

 private:
  // cover(column, row) → 0 … 1, asked for pixels [left, right) x [top, bottom) within the frame.
  template <class Cover>
  void blend(float left, float top, float right, float bottom, const BookPaint& paint, float alpha,
             const Cover& cover);

  float* pixels_;
  int width_, height_;
  int64_t plane_;
};

}  // namespace t2v
