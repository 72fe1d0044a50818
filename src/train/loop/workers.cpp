#include "train/loop/workers.h"

#include <ATen/Parallel.h>

#include <algorithm>

namespace t2v {

Workers::Workers(int64_t count) {
  for (int64_t i = 0; i < std::max<int64_t>(1, count); ++i) threads_.emplace_back([this, i] { loop(i); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Workers::run(int64_t pieces, const std::function<void(int64_t)>& work) {
  std::unique_lock lock(mutex_);
  work_ = &work;
  pieces_ = pieces;
  busy_ = count();
  failure_ = nullptr;
  ++round_;
  wake_.notify_all();
  done_.wait(lock, [this] { return busy_ == 0; });
  if (failure_) std::rethrow_exception(failure_);
}

void Workers::loop(int64_t thread) {
  at::set_num_threads(1);
  uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || round_ != seen; });
    if (stop_) return;
    seen = round_;
    const auto* work = work_;
    const int64_t pieces = pieces_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      for (int64_t piece = thread; piece < pieces; piece += count()) (*work)(piece);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (failure && !failure_) failure_ = failure;
    if (--busy_ == 0) done_.notify_one();
  }
}

}  // namespace t2v
