#pragma once

#include <ATen/Parallel.h>

#include <cstdint>
#include <optional>

namespace t2v {

// Sets libtorch's thread count while it lives.
class ThreadCount {
 public:
  explicit ThreadCount(std::optional<int64_t> count) {
    if (count) at::set_num_threads(static_cast<int>(*count));
  }
  ~ThreadCount() { at::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_ = at::get_num_threads();
};

}  // namespace t2v
