#include "models/tiles.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace t2v {

namespace {

// The first entries of `tile` along `dim` go over from the last ones of `before`.
void blend(const at::Tensor& before, const at::Tensor& tile, int64_t dim) {
  const auto extent = std::min(before.size(dim), tile.size(dim));
  auto shape = std::vector<int64_t>(static_cast<std::size_t>(tile.dim()), 1);
  shape[static_cast<std::size_t>(dim)] = extent;
  const auto share = (at::arange(extent, tile.options().dtype(at::kFloat)) / extent).view(shape);
  const auto edge = before.narrow(dim, before.size(dim) - extent, extent);
  tile.narrow(dim, 0, extent).mul_(share).add_(edge * (1 - share));
}

// What the next tile along `dim` is blended with; a copy, so that the rest of the tile can go.
at::Tensor last_of(const at::Tensor& tile, int64_t dim, const TileAxis& axis) {
  const auto extent = std::min(axis.made - axis.kept, tile.size(dim));
  return tile.narrow(dim, tile.size(dim) - extent, extent).clone();
}

}  // namespace

at::Tensor TileArea::of(const at::Tensor& x) const {
  return x.narrow(-2, top, height).narrow(-1, left, width);
}

TileArea TileGrid::area(int64_t index, int64_t height, int64_t width) const {
  const auto top = index / columns.count(width) * rows.stride;
  const auto left = index % columns.count(width) * columns.stride;
  return {top, left, std::min(rows.length, height - top), std::min(columns.length, width - left)};
}

at::Tensor join_tiles(const TileGrid& grid, int64_t height, int64_t width,
                      const std::function<at::Tensor(int64_t, const TileArea&)>& make) {
  const auto across = grid.columns.count(width);
  std::vector<at::Tensor> above(static_cast<std::size_t>(across));  // the last rows of the tiles there
  at::Tensor left, joined;
  for (int64_t index = 0; index < grid.count(height, width); ++index) {
    const auto area = grid.area(index, height, width);
    const auto tile = make(index, area);
    if (!tile.defined()) continue;
    if (!joined.defined())
      joined = at::empty({tile.size(0), tile.size(1), height * grid.rows.kept / grid.rows.stride,
                          width * grid.columns.kept / grid.columns.stride},
                         tile.options());
    auto& over = above[static_cast<std::size_t>(index % across)];
    if (area.top > 0) blend(over, tile, 2);
    if (area.left > 0) blend(left, tile, 3);
    over = last_of(tile, 2, grid.rows);
    left = last_of(tile, 3, grid.columns);
    const auto rows = std::min(grid.rows.kept, tile.size(2)),
               columns = std::min(grid.columns.kept, tile.size(3));
    joined.narrow(2, area.top / grid.rows.stride * grid.rows.kept, rows)
        .narrow(3, area.left / grid.columns.stride * grid.columns.kept, columns)
        .copy_(tile.narrow(2, 0, rows).narrow(3, 0, columns));
  }
  return joined;
}

}  // namespace t2v
