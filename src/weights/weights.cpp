#include "weights/weights.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

#include "t2v/error.h"
#include "weights/shape_text.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

// Whether the stored numbers are finite after a cast to `type`, which float16 may overflow. One pass: NaN
// propagates through min and max, an infinity is one of them, and a cast keeps their order. Types that have
// no min and max are made float32 a slice at a time, so that a large tensor is never there twice.
bool all_finite(const at::Tensor& stored, at::ScalarType type) {
  constexpr int64_t slice = int64_t{1} << 20;
  const auto numbers = stored.flatten();
  for (int64_t begin = 0; begin < numbers.numel(); begin += slice) {
    const auto part = numbers.slice(0, begin, begin + slice);
    const auto [low, high] = at::aminmax(part.scalar_type() == at::kDouble ? part : part.to(at::kFloat));
    if (!std::isfinite(low.to(type).item<double>()) || !std::isfinite(high.to(type).item<double>()))
      return false;
  }
  return true;
}

// Expanded a few rows at a time.
bool all_finite(const PackedMatrix& matrix) {
  constexpr int64_t slice = int64_t{1} << 20;
  const int64_t rows = std::max<int64_t>(1, slice / std::max<int64_t>(1, matrix.columns));
  for (int64_t begin = 0; begin < matrix.rows; begin += rows) {
    const auto part = rows_of(matrix, begin, std::min(rows, matrix.rows - begin));
    if (!all_finite(expand({part}, at::kCPU), matrix.dtype)) return false;
  }
  return true;
}

std::string not_finite(const std::string& name, at::ScalarType type) {
  return "not finite: " + name + " holds NaN or infinity" +
         (type == at::kHalf ? " as float16, whose numbers end at 65504" : "");
}

}  // namespace

Weights Weights::open(std::shared_ptr<const TensorSource> source, at::Device device, at::ScalarType dtype) {
  Weights weights;
  weights.where_ = source->where();
  weights.device_ = device;
  weights.dtypes_ = {dtype, dtype};
  weights.source_ = std::move(source);
  return weights;
}

Weights Weights::open(const fs::path& folder, const std::string& stem, at::Device device,
                      at::ScalarType dtype) {
  return open(open_weight_folder(folder, stem), device, dtype);
}

Weights Weights::meta(at::ScalarType dtype) {
  Weights weights;
  weights.meta_ = true;
  weights.device_ = at::kMeta;
  weights.dtypes_ = {dtype, dtype};
  return weights;
}

Weights Weights::from_tensors(std::map<std::string, at::Tensor> tensors, RunDtypes dtypes) {
  Weights weights;
  weights.where_ = "weights in memory";
  weights.dtypes_ = dtypes;
  weights.tensors_ = std::move(tensors);
  return weights;
}

int64_t Weights::element_count() const {
  int64_t count = 0;
  for (const auto& name : source_ ? source_->names() : std::vector<std::string>()) {
    const auto shape = source_->find(name)->shape;
    count += std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
  for (const auto& [name, tensor] : tensors_) count += tensor.numel();
  return count;
}

WeightScope Weights::root() { return {*this, ""}; }

at::Tensor Weights::refuse(const std::string& problem, at::IntArrayRef shape, at::ScalarType type) {
  problems_.push_back(problem);
  return at::empty(shape, at::TensorOptions(type).device(at::kMeta));
}

at::ScalarType Weights::dtype_of(Precision precision) const {
  return precision == Precision::float32   ? at::kFloat
         : precision == Precision::product ? dtypes_.products
                                           : dtypes_.model;
}

at::Tensor Weights::take(const std::string& name, at::IntArrayRef shape, Precision precision) {
  asked_.emplace_back(name, shape.vec());
  const auto type = dtype_of(precision);
  if (meta_) return at::empty(shape, at::TensorOptions(type).device(at::kMeta));
  if (const auto held = tensors_.find(name); held != tensors_.end()) {
    taken_.insert(name);
    if (held->second.sizes() == shape) return held->second.to(type);
    return refuse("shape: " + name + " should be " + shape_text(shape.vec()) + ", found " +
                      shape_text(held->second.sizes().vec()),
                  shape, type);
  }
  const auto found = source_ ? source_->find(name) : std::nullopt;
  if (!found) return refuse("missing: " + name + " " + shape_text(shape.vec()), shape, type);
  taken_.insert(name);
  const auto& entry = *found;
  if (at::IntArrayRef(entry.shape) != shape)
    return refuse(
        "shape: " + name + " should be " + shape_text(shape.vec()) + ", found " + shape_text(entry.shape),
        shape, type);
  if (entry.dtype[0] != 'F' && entry.dtype != "BF16" && !is_block_format(entry.dtype))
    return refuse("dtype: " + name + " should hold floating-point numbers, found " + entry.dtype, shape,
                  type);
  if (entry.dtype == "F4" || entry.dtype.starts_with("F6_") || entry.dtype == "F8_E8M0")
    return refuse("dtype: " + name + " is " + entry.dtype +
                      ", which is meaningless without the scales of its quantisation scheme",
                  shape, type);
  if (skim_) return at::empty(shape, at::TensorOptions(type).device(at::kMeta));
  const auto stored = source_->read(name);
  auto tensor = stored.to(at::TensorOptions(type).device(device_));
  // On another device the copy is looked at there, which is quicker.
  if (checks_numbers_ && !all_finite(device_.is_cpu() ? stored : tensor, type))
    return refuse(not_finite(name, type), shape, type);
  return tensor;
}

std::optional<PackedMatrix> Weights::take_packed(const std::string& name, int64_t rows, int64_t columns,
                                                 Precision precision) {
  if (skim_) return std::nullopt;
  const auto found = source_ && precision != Precision::float32 ? source_->find(name) : std::nullopt;
  if (!found || found->shape != std::vector{rows, columns}) return std::nullopt;
  auto packed = source_->read_packed(name);
  if (!packed) return std::nullopt;
  packed->dtype = dtype_of(precision);
  if (packed->stored.scalar_type() == packed->dtype) return std::nullopt;
  asked_.emplace_back(name, std::vector{rows, columns});
  taken_.insert(name);
  if (checks_numbers_ && !all_finite(*packed))
    refuse(not_finite(name, packed->dtype), {rows, columns}, packed->dtype);
  return packed;
}

void Weights::finish() const {
  if (meta_) return;
  auto problems = problems_;
  for (const auto& name : source_ ? source_->names() : std::vector<std::string>())
    if (!taken_.contains(name))
      problems.push_back("unexpected: " + name + " " + shape_text(source_->find(name)->shape));
  for (const auto& [name, tensor] : tensors_)
    if (!taken_.contains(name))
      problems.push_back("unexpected: " + name + " " + shape_text(tensor.sizes().vec()));
  report(problems);
}

void Weights::require_no_problems() const { report(problems_); }

Weights Weights::anew() const {
  Weights weights;
  weights.where_ = where_;
  weights.device_ = device_;
  weights.dtypes_ = dtypes_;
  weights.source_ = source_;
  weights.tensors_ = tensors_;
  return weights;
}

void Weights::report(const std::vector<std::string>& problems) const {
  if (problems.empty()) return;
  constexpr std::size_t shown = 200;
  std::string report = where_ + ": the weights do not fit config.json (" + std::to_string(problems.size()) +
                       (problems.size() == 1 ? " problem)" : " problems)");
  for (std::size_t i = 0; i < std::min(shown, problems.size()); ++i) report += "\n  " + problems[i];
  if (problems.size() > shown) report += "\n  … and " + std::to_string(problems.size() - shown) + " more";
  throw Error(ErrorKind::bad_input, report);
}

}  // namespace t2v
