// Counts the floating point operations of what libtorch is asked to do, on whatever device, and sees which of
// its ways to compute attention it takes.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace t2v {

// While it lives: of matrix products, convolutions and attention, on all threads; a multiplication and an
// addition are two. What lies within one of them is not counted again.
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter();
  FlopCounter(const FlopCounter&) = delete;
  FlopCounter& operator=(const FlopCounter&) = delete;

  // Since it was made.
  double flops() const;
  std::vector<std::string> attention() const;  // by libtorch's names: "cudnn_attention",
                                               // "flash_attention_for_cpu"

 private:
  uint64_t handle_;
};

// Returns when the device has done all that it was asked for.
void wait_for_device(at::Device device);

// FLOP/s of a large matrix product: the best of several rounds, for a clock that has to rise first, and
// others, make a rate lower and never higher.
double product_rate(at::Device device, at::ScalarType dtype, int rounds);

}  // namespace t2v
