// Counts the floating point operations of what libtorch is asked to do, on whatever device.
#pragma once

#include <cstdint>

namespace t2v {

// While it lives: of matrix products, convolutions and attention, on all threads; a multiplication and an
// addition are two. What lies within one of them is not counted again.
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter();
  FlopCounter(const FlopCounter&) = delete;
  FlopCounter& operator=(const FlopCounter&) = delete;

  double flops() const;  // since it was made

 private:
  uint64_t handle_;
};

}  // namespace t2v
