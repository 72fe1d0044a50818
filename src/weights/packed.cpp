#include "weights/packed.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <functional>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

namespace t2v {

namespace {

constexpr int64_t numbers_a_thread = 1 << 15;
constexpr float largest_e4m3 = 448;

// Note: [Memory for expanded matrices]
// A matrix is expanded, multiplied and let go, with results that stay in between. From the heap, each hole
// that it leaves would be cut into by the next result, and the peak would grow by nearly every matrix of a
// network. So large ones have pages of their own, and the last ones let go are kept for the next: the
// largest.
class Pages {
 public:
  at::Tensor take(int64_t numbers, at::ScalarType dtype) {
    auto size = static_cast<std::size_t>(numbers) * c10::elementSize(dtype);
    void* pages = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (kept_size_ >= size)
        size = std::exchange(kept_size_, 0), pages = std::exchange(kept_, nullptr);
      else
        drop();
    }
    if (pages == nullptr)
      pages = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    return at::from_blob(
        pages, {numbers}, [this, size](void* done) { give_back(done, size); }, at::TensorOptions(dtype));
  }

 private:
  void give_back(void* pages, std::size_t size) {
    const std::lock_guard lock(mutex_);
    if (kept_size_ >= size) {
      ::munmap(pages, size);
      return;
    }
    drop();
    kept_ = pages;
    kept_size_ = size;
  }
  void drop() {
    if (kept_size_ > 0) ::munmap(kept_, kept_size_);
    kept_ = nullptr;
    kept_size_ = 0;
  }

  std::mutex mutex_;
  void* kept_ = nullptr;
  std::size_t kept_size_ = 0;
};

at::Tensor room_for(int64_t rows, int64_t columns, at::ScalarType dtype) {
  constexpr int64_t small = 1 << 18;
  static auto& pages = *new Pages;  // outlives every tensor
  if (rows * columns < small) return at::empty({rows, columns}, at::TensorOptions(dtype));
  return pages.take(rows * columns, dtype).view({rows, columns});
}

// Of each byte what it stands for as a float8.
using Float8Table = std::array<float, 256>;

const Float8Table& float8_table(at::ScalarType dtype) {
  static const auto tables = [] {
    std::pair<Float8Table, Float8Table> both;  // e4m3, e5m2
    for (int byte = 0; byte < 256; ++byte) {
      both.first[byte] = c10::detail::fp8e4m3fn_to_fp32_value(static_cast<uint8_t>(byte));
      both.second[byte] = c10::detail::fp8e5m2_to_fp32_value(static_cast<uint8_t>(byte));
    }
    return both;
  }();
  return dtype == at::kFloat8_e5m2 ? tables.second : tables.first;
}

// Rows first, …, first + count - 1 as float32.
using RowExpander = std::function<void(int64_t first, int64_t count, float* numbers)>;

RowExpander row_expander(const PackedMatrix& matrix) {
  const auto stored = matrix.stored.contiguous();
  const auto* bytes = static_cast<const uint8_t*>(stored.const_data_ptr());
  const auto columns = matrix.columns;
  if (matrix.format != nullptr)
    return [stored, bytes, columns, format = matrix.format](int64_t first, int64_t count, float* numbers) {
      const auto blocks = columns / format->elements;
      format->expand(bytes + first * blocks * format->bytes, count * blocks, numbers);
    };
  const auto scales = matrix.scales.contiguous();
  const auto* scale_of = scales.const_data_ptr<float>();
  const auto& value_of = float8_table(stored.scalar_type());
  return [stored, bytes, columns, scales, scale_of, &value_of](int64_t first, int64_t count, float* numbers) {
    for (int64_t row = first; row < first + count; ++row, numbers += columns) {
      const auto* in = bytes + row * columns;
      const float scale = scale_of[row];
      for (int64_t i = 0; i < columns; ++i) numbers[i] = value_of[in[i]] * scale;
    }
  };
}

// out: contiguous [rows, columns] of the matrix's dtype.
void expand_into(const PackedMatrix& matrix, at::Tensor out) {
  if (matrix.format == nullptr && !matrix.scales.defined()) {
    out.copy_(matrix.stored);
    return;
  }
  const auto expand_rows = row_expander(matrix);
  const int64_t rows_a_thread = std::max<int64_t>(1, numbers_a_thread / matrix.columns);
  at::parallel_for(0, matrix.rows, rows_a_thread, [&](int64_t first, int64_t last) {
    if (matrix.dtype == at::kFloat)
      return expand_rows(first, last - first, out.mutable_data_ptr<float>() + first * matrix.columns);
    const auto wide = at::empty({matrix.columns}, at::TensorOptions(at::kFloat));
    for (int64_t row = first; row < last; ++row) {
      expand_rows(row, 1, wide.mutable_data_ptr<float>());
      out[row].copy_(wide);
    }
  });
}

// What a name of kept_formats() means: a dtype, or a format of blocks.
struct KeptFormat {
  std::string name;
  at::ScalarType dtype = at::kByte;
  const BlockFormat* blocks = nullptr;
};

const KeptFormat& kept_format(const std::string& name) {
  static const auto formats = [] {
    std::vector<KeptFormat> known = {{"float32", at::kFloat},
                                     {"bfloat16", at::kBFloat16},
                                     {"float16", at::kHalf},
                                     {"float8", at::kFloat8_e4m3fn}};
    for (const auto& [kept, stored] : {std::pair{"q8_0", "Q8_0"}, std::pair{"q4_0", "Q4_0"}})
      for (const auto& format : block_formats())
        if (format.name == std::string_view(stored)) known.push_back({kept, at::kByte, &format});
    return known;
  }();
  return *std::find_if(formats.begin(), formats.end(), [&](const auto& one) { return one.name == name; });
}

// Numbers [rows, columns] as e4m3, each row with a scale of its own.
PackedMatrix pack_float8(const at::Tensor& numbers) {
  const int64_t rows = numbers.size(0), columns = numbers.size(1);
  PackedMatrix matrix{nullptr, rows, columns, at::empty({rows, columns}, at::kFloat8_e4m3fn), at::kFloat};
  matrix.scales = at::empty({rows}, at::kFloat);
  auto* scale_of = matrix.scales.mutable_data_ptr<float>();
  at::parallel_for(0, rows, std::max<int64_t>(1, numbers_a_thread / columns),
                   [&](int64_t first, int64_t last) {
                     for (int64_t row = first; row < last; ++row) {
                       const auto wide = numbers[row].to(at::kFloat);
                       const auto scale = wide.abs().max().item<float>() / largest_e4m3;
                       scale_of[row] = scale == 0 ? 1 : scale;
                       matrix.stored[row].copy_(wide / scale_of[row]);
                     }
                   });
  return matrix;
}

}  // namespace

const std::vector<std::string>& kept_formats() {
  static const std::vector<std::string> names = {"float32", "bfloat16", "float16", "float8", "q8_0", "q4_0"};
  return names;
}

std::optional<int64_t> packed_bytes(int64_t rows, int64_t columns, const std::string& format) {
  const auto& kept = kept_format(format);
  const int64_t of_scales = kept.dtype == at::kFloat8_e4m3fn ? rows * 4 : 0;
  if (kept.blocks == nullptr)
    return rows * columns * static_cast<int64_t>(c10::elementSize(kept.dtype)) + of_scales;
  if (columns % kept.blocks->elements != 0) return std::nullopt;
  return rows * columns / kept.blocks->elements * kept.blocks->bytes;
}

std::optional<PackedMatrix> pack(const at::Tensor& numbers, const std::string& format) {
  const auto& kept = kept_format(format);
  const int64_t rows = numbers.size(0), columns = numbers.size(1);
  if (!packed_bytes(rows, columns, format)) return std::nullopt;
  if (kept.dtype == at::kFloat8_e4m3fn) return pack_float8(numbers);
  PackedMatrix matrix{kept.blocks, rows, columns, {}, at::kFloat};
  if (kept.blocks == nullptr) {
    matrix.stored = numbers.to(kept.dtype);
    return matrix;
  }
  const int64_t row_bytes = columns / kept.blocks->elements * kept.blocks->bytes;
  matrix.stored = at::empty({rows, row_bytes}, at::TensorOptions(at::kByte));
  auto* bytes = matrix.stored.mutable_data_ptr<uint8_t>();
  at::parallel_for(0, rows, std::max<int64_t>(1, numbers_a_thread / columns),
                   [&](int64_t first, int64_t last) {
                     for (int64_t row = first; row < last; ++row) {
                       const auto wide = numbers[row].to(at::kFloat).contiguous();
                       kept.blocks->pack(wide.const_data_ptr<float>(), columns / kept.blocks->elements,
                                         bytes + row * row_bytes);
                     }
                   });
  return matrix;
}

PackedMatrix rows_of(const PackedMatrix& matrix, const at::Tensor& index) {
  auto chosen = matrix;
  chosen.stored = matrix.stored.index_select(0, index.to(at::kCPU));
  if (matrix.scales.defined()) chosen.scales = matrix.scales.index_select(0, index.to(at::kCPU));
  chosen.rows = index.size(0);
  return chosen;
}

PackedMatrix rows_of(const PackedMatrix& matrix, int64_t begin, int64_t count) {
  auto chosen = matrix;
  chosen.stored = matrix.stored.narrow(0, begin, count);
  if (matrix.scales.defined()) chosen.scales = matrix.scales.narrow(0, begin, count);
  chosen.rows = count;
  return chosen;
}

at::Tensor expand(const std::vector<PackedMatrix>& matrices, at::Device device) {
  int64_t rows = 0;
  for (const auto& matrix : matrices) rows += matrix.rows;
  const auto& first = matrices.front();
  const auto out = room_for(rows, first.columns, first.dtype);
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
