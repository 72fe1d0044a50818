// PNG images in memory, with their transparency.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace t2v {

struct RgbaImage {
  int width = 0, height = 0;
  std::vector<uint8_t> rgba;  // [height, width, 4], row by row, alpha not multiplied in
};

// Throws Error{bad_input} for what is not an image of 8-bit RGBA.
RgbaImage decode_png(const uint8_t* data, std::size_t size);

}  // namespace t2v
