#include "nn/rotary.h"

#include <ATen/ATen.h>

#include <string>

#include "t2v/error.h"

namespace t2v {

namespace {

at::Tensor axis_table(int64_t dim, int64_t max_length, at::Device device, double theta) {
  const auto options = at::TensorOptions(at::kDouble);
  const auto frequencies = at::pow(theta, at::arange(0, dim, 2, options) / static_cast<double>(dim))
                               .reciprocal();                                   // [dim / 2]
  const auto angles = at::outer(at::arange(max_length, options), frequencies);  // [max_length, dim / 2]
  return at::complex(at::cos(angles).to(at::kFloat), at::sin(angles).to(at::kFloat)).to(device);
}

}  // namespace

Rotary::Rotary(int64_t head_dim, int64_t max_length, at::Device device, double theta) {
  const int64_t spatial = 2 * (head_dim / 6);
  time_ = axis_table(head_dim - 2 * spatial, max_length, device, theta);
  height_ = axis_table(spatial, max_length, device, theta);
  width_ = axis_table(spatial, max_length, device, theta);
}

at::Tensor Rotary::at_positions(const at::Tensor& positions, int64_t extent) const {
  if (extent > time_.size(0))
    throw Error(ErrorKind::usage, "the clip is " + std::to_string(extent) +
                                      " patches long on one axis; the model's rotary table ends at " +
                                      std::to_string(time_.size(0)) +
                                      ". Ask for fewer frames or a smaller size.");
  const auto on_axis = [&](const at::Tensor& table, int64_t axis) {
    return table.index({positions.select(1, axis)});
  };
  return at::cat({on_axis(time_, 0), on_axis(height_, 1), on_axis(width_, 2)}, 1);
}

at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& rotary) {
  auto shape = x.sizes().vec();
  shape.back() /= 2;
  shape.push_back(2);
  std::vector<int64_t> rotary_shape(static_cast<std::size_t>(x.dim()), 1);
  rotary_shape.front() = x.size(0);
  rotary_shape.back() = rotary.size(1);
  const auto pairs = at::view_as_complex(x.to(at::kFloat).reshape(shape));
  return at::view_as_real(pairs * rotary.view(rotary_shape)).reshape(x.sizes()).to(x.scalar_type());
}

}  // namespace t2v
