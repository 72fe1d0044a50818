#include "weights/packed.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace t2v {

namespace {

constexpr int64_t numbers_a_thread = 1 << 15;

// out: contiguous [rows, columns] of the matrix's dtype.
void expand_into(const PackedMatrix& matrix, at::Tensor out) {
  if (matrix.format == nullptr) {
    out.copy_(matrix.stored);
    return;
  }
  const auto& format = *matrix.format;
  const auto stored = matrix.stored.contiguous();
  const auto* bytes = stored.const_data_ptr<uint8_t>();
  const int64_t blocks = matrix.columns / format.elements;
  const auto from_row = [&](int64_t row) { return bytes + row * blocks * format.bytes; };
  const int64_t rows_a_thread = std::max<int64_t>(1, numbers_a_thread / matrix.columns);
  at::parallel_for(0, matrix.rows, rows_a_thread, [&](int64_t first, int64_t last) {
    if (matrix.dtype == at::kFloat) {
      format.expand(from_row(first), (last - first) * blocks,
                    out.mutable_data_ptr<float>() + first * matrix.columns);
      return;
    }
    const auto wide = at::empty({matrix.columns}, at::TensorOptions(at::kFloat));
    for (int64_t row = first; row < last; ++row) {
      format.expand(from_row(row), blocks, wide.mutable_data_ptr<float>());
      out[row].copy_(wide);
    }
  });
}

}  // namespace

PackedMatrix rows_of(const PackedMatrix& matrix, const at::Tensor& index) {
  auto chosen = matrix;
  chosen.stored = matrix.stored.index_select(0, index.to(at::kCPU));
  chosen.rows = index.size(0);
  return chosen;
}

at::Tensor expand(const std::vector<PackedMatrix>& matrices, at::Device device) {
  int64_t rows = 0;
  for (const auto& matrix : matrices) rows += matrix.rows;
  const auto& first = matrices.front();
  const auto out = at::empty({rows, first.columns}, at::TensorOptions(first.dtype));
  int64_t begin = 0;
  for (const auto& matrix : matrices) {
    expand_into(matrix, out.narrow(0, begin, matrix.rows));
    begin += matrix.rows;
  }
  return out.to(device);
}

at::Tensor expand_blocks(const BlockFormat& format, const at::Tensor& bytes) {
  const int64_t columns = bytes.numel() / format.bytes * format.elements;
  // In rows of one block, so that threads share the work.
  const PackedMatrix matrix{&format, bytes.numel() / format.bytes, format.elements,
                            bytes.view({-1, format.bytes}), at::kFloat};
  return expand({matrix}, at::kCPU).view({columns});
}

}  // namespace t2v
