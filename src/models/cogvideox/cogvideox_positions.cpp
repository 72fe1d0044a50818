#include "models/cogvideox/cogvideox_positions.h"

#include <ATen/ATen.h>

#include <cmath>

#include "nn/ops.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// Sines, then cosines, of positions 0 … length - 1 divided by `scale`: float32 [length, dim]. The division is
// float32, all after it float64.
at::Tensor sincos_table(int64_t length, double scale, int64_t dim) {
  const auto position = at::arange(length, at::TensorOptions(at::kFloat)) / scale;
  const auto share = at::arange(dim / 2, at::TensorOptions(at::kDouble)) / (static_cast<double>(dim) / 2);
  const auto angles = at::outer(position.to(at::kDouble), at::pow(10000.0, share).reciprocal());
  return at::cat({at::sin(angles), at::cos(angles)}, 1).to(at::kFloat);
}

// cos + i·sin at every place of one axis: complex64 [places, dim / 2]. All in float32.
at::Tensor rotary_table(const at::Tensor& places, int64_t dim) {
  const auto share = at::arange(0, dim, 2, at::TensorOptions(at::kFloat)) / static_cast<double>(dim);
  const auto angles = at::outer(places, at::pow(10000.0, share).reciprocal());
  return at::complex(at::cos(angles), at::sin(angles));
}

int64_t rounded(double value) { return static_cast<int64_t>(std::nearbyint(value)); }  // half to even

// The places of a grid's rows and columns within the grid that the model was trained on: the grid is resized
// to fit into that one, keeping its shape, and centred. Source: get_resize_crop_region_for_grid.
struct Places {
  at::Tensor height, width;
};
Places resized_places(const TokenGrid& grid, int64_t base_height, int64_t base_width) {
  const auto height = static_cast<double>(grid.h), width = static_cast<double>(grid.w);
  const auto most_height = static_cast<double>(base_height), most_width = static_cast<double>(base_width);
  const bool taller = height / width > most_height / most_width;
  const int64_t rows = taller ? base_height : rounded(most_width / width * height);
  const int64_t columns = taller ? rounded(most_height / height * width) : base_width;
  const auto places = [](int64_t base, int64_t resized, int64_t count) {
    const auto start = rounded(static_cast<double>(base - resized) / 2);
    const auto stop = static_cast<double>((start + resized) * (count - 1)) / static_cast<double>(count);
    return at::linspace(start, stop, count, at::TensorOptions(at::kFloat));
  };
  return {places(base_height, rows, grid.h), places(base_width, columns, grid.w)};
}

}  // namespace

at::Tensor sincos_positions(const CogVideoXTransformerConfig& config, const PackedTokens& tokens) {
  const int64_t width = config.width();
  const auto on_axis = [&](int64_t axis, int64_t length, double scale, int64_t dim) {
    return rows_at(sincos_table(length, scale, dim).to(tokens.values.device()),
                   tokens.positions.select(1, axis));
  };
  const auto& extent = tokens.extent;
  const int64_t spatial = width / 8 * 3;
  return at::cat({on_axis(0, extent.t, config.temporal_interpolation_scale, width / 4),
                  on_axis(2, extent.w, config.spatial_interpolation_scale, spatial),  // width before height
                  on_axis(1, extent.h, config.spatial_interpolation_scale, spatial)},
                 1);
}

at::Tensor rotary_positions(const CogVideoXTransformerConfig& config, const PackedTokens& tokens) {
  const int64_t head_dim = config.attention_head_dim;
  const auto device = tokens.values.device();
  if (device.is_meta())
    return at::empty({tokens.positions.size(0), head_dim / 2},
                     at::TensorOptions(at::kComplexFloat).device(device));
  const int64_t base_height = config.sample_height / config.patch_size.h,
                base_width = config.sample_width / config.patch_size.w;
  const auto positions = tokens.positions.to(at::kCPU);
  std::vector<at::Tensor> of_segments;
  for (std::size_t s = 0; s + 1 < tokens.segments.size(); ++s) {
    const auto own = positions.slice(0, tokens.segments[s], tokens.segments[s + 1]);
    const auto last = own.amax(0);
    const auto count = [&](int64_t axis) { return last[axis].item<int64_t>() + 1; };
    const TokenGrid grid{count(0), count(1), count(2)};
    const auto numbers = [](int64_t length) { return at::arange(length, at::TensorOptions(at::kFloat)); };
    if (config.patches_of_time && (grid.h > base_height || grid.w > base_width))
      throw Error(ErrorKind::usage, "the clip is " + std::to_string(grid.w) + "x" + std::to_string(grid.h) +
                                        " patches large; the model's positions end at " +
                                        std::to_string(base_width) + "x" + std::to_string(base_height) +
                                        ". Ask for a smaller size.");
    const auto [height, width] = config.patches_of_time ? Places{numbers(grid.h), numbers(grid.w)}
                                                        : resized_places(grid, base_height, base_width);
    const auto on_axis = [&](const at::Tensor& places, int64_t axis, int64_t dim) {
      return rotary_table(places, dim).index_select(0, own.select(1, axis));
    };
    of_segments.push_back(at::cat({on_axis(numbers(grid.t), 0, head_dim / 4),
                                   on_axis(height, 1, head_dim / 8 * 3), on_axis(width, 2, head_dim / 8 * 3)},
                                  1));
  }
  return at::cat(of_segments).to(device);
}

}  // namespace t2v
