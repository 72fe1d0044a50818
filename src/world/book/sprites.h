// The drawings, and drawing them. Internal to this folder.
#pragma once

#include <optional>
#include <vector>

#include "world/book/book.h"
#include "world/book/canvas.h"

namespace t2v {

// A thin line around a thing, outside of it.
struct BookOutline {
  BookColour colour;
  double width = 0;  // pixels
};

// A point on a thing's rim, in units of half its size from its centre, and its colour.
struct BookRimPoint {
  float x = 0, y = 0;
  BookColour colour;
};
const std::vector<BookRimPoint>& book_rim(int noun);

// Height and width of what is seen of a thing over the longer of the two.
struct BookExtent {
  double width = 1, height = 1;
};
BookExtent book_extent(int noun);

// Blends the thing over the frame; antialiased at any size and angle.
void draw_thing(int noun, const BookPose& pose, const std::optional<BookOutline>& outline, Canvas& canvas);

}  // namespace t2v
