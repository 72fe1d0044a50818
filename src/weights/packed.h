// Weights that stay as they are stored, and are expanded at each use.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "weights/blocks.h"

namespace t2v {

// A matrix [rows, columns] on the CPU; a row's blocks stand next to each other.
struct PackedMatrix {
  const BlockFormat* format = nullptr;  // null: `stored` holds numbers of a dtype of its own
  int64_t rows = 0, columns = 0;
  at::Tensor stored;                  // uint8 [rows, bytes of a row], or [rows, columns]
  at::ScalarType dtype = at::kFloat;  // that it is expanded to: float32's bits, rounded once
  at::Tensor scales = {};             // float32 [rows] of 8-bit floating point, else undefined
};

// Some of its rows. Expands nothing; a copy.
PackedMatrix rows_of(const PackedMatrix& matrix, const at::Tensor& index);
// Rows begin, …, begin + count - 1, where they are.
PackedMatrix rows_of(const PackedMatrix& matrix, int64_t begin, int64_t count);

// [rows, columns] of matrices below each other, which agree in columns and dtype.
at::Tensor expand(const std::vector<PackedMatrix>& matrices, at::Device device);

// How matrices may be kept in memory: "float32", "bfloat16", "float16", "float8" (e4m3, each row with a scale
// that makes its largest number e4m3's), "q8_0", "q4_0".
const std::vector<std::string>& kept_formats();
// Numbers [rows, columns] kept so; none where the rows are no whole blocks.
std::optional<PackedMatrix> pack(const at::Tensor& numbers, const std::string& format);
// The bytes of it.
std::optional<int64_t> packed_bytes(int64_t rows, int64_t columns, const std::string& format);

// Any number of whole blocks, flat → float32, flat.
at::Tensor expand_blocks(const BlockFormat& format, const at::Tensor& bytes);

}  // namespace t2v
