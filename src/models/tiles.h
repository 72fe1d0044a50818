// Pictures in tiles that overlap, each made by itself, joined with a linear blend where they do: an
// autoencoder then needs the memory of a tile, and makes nearly what it makes of the whole. Source: diffusers
// autoencoder_kl_wan.py and autoencoder_kl_cogvideox.py, tiled_decode, tiled_encode, blend_v and blend_h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace t2v {

// Along one axis. What a tile is made of begins `stride` after the one before; of what is made of it the
// first `kept` stay, and the rest is blended into the next tile. made / length = kept / stride.
struct TileAxis {
  int64_t length = 0, stride = 0;  // of what goes in
  int64_t made = 0, kept = 0;      // of what comes out

  int64_t count(int64_t size) const { return (size + stride - 1) / stride; }
};

// Part of what goes in.
struct TileArea {
  int64_t top = 0, left = 0, height = 0, width = 0;
  at::Tensor of(const at::Tensor& x) const;  // [..., H, W] → [..., height, width]
};

struct TileGrid {
  TileAxis rows, columns;
  // Whether what is so large goes in whole.
  bool is_whole(int64_t height, int64_t width) const {
    return height <= rows.length && width <= columns.length;
  }
  int64_t count(int64_t height, int64_t width) const { return rows.count(height) * columns.count(width); }
  // Row by row, the last ones as small as what is left.
  TileArea area(int64_t index, int64_t height, int64_t width) const;
};

// make(index, area) [t, C, h, w] for every tile of what is height x width, in order; each may be changed. All
// undefined, or none. → [t, C, H, W]
at::Tensor join_tiles(const TileGrid& grid, int64_t height, int64_t width,
                      const std::function<at::Tensor(int64_t index, const TileArea& area)>& make);

}  // namespace t2v
