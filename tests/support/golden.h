// Golden files of tests/golden (tools/oracle makes them), and how far a tensor is from the reference's.
#pragma once

#include <ATen/ATen.h>

#include <limits>
#include <memory>
#include <string>

#include "paths.h"
#include "weights/safetensors.h"

namespace t2v::test {

inline std::shared_ptr<const SafetensorsFile> open_golden(const std::string& name) {
  return SafetensorsFile::open(golden(name));
}

// What the reference was given: in float32 where it is stored in half precision.
inline at::Tensor golden_input(const SafetensorsFile& golden, const std::string& name) {
  const auto stored = golden.tensor(name);
  return stored.is_floating_point() ? stored.to(at::kFloat) : stored;
}

// The largest absolute difference in units of the reference's root mean square; infinity when the shapes
// differ or a value is not finite.
inline double relative_error(const at::Tensor& found, const at::Tensor& reference) {
  const auto on_cpu = [](const at::Tensor& x) { return x.to(at::kCPU).to(at::kDouble); };
  const auto difference = found.sizes() == reference.sizes() ? (on_cpu(found) - on_cpu(reference)).abs()
                                                             : at::Tensor();
  if (!difference.defined() || !at::isfinite(difference).all().item<bool>())
    return std::numeric_limits<double>::infinity();
  return difference.max().item<double>() / on_cpu(reference).square().mean().sqrt().item<double>();
}

// Standard normal numbers, the same for the same seed.
inline at::Tensor random_normal(at::IntArrayRef shape, int64_t seed) {
  at::manual_seed(static_cast<uint64_t>(seed));
  return at::randn(shape, at::TensorOptions(at::kFloat));
}

}  // namespace t2v::test
