// Threads that each run whole pieces of a step with single-threaded operations. A small network trains faster
// so than with every operation split among the threads, which would have to meet some thousand times a step.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace t2v {

class Workers {
 public:
  explicit Workers(int64_t count);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int64_t count() const { return static_cast<int64_t>(threads_.size()); }

  // Calls work(index) for every index below `pieces`, each on the thread index % count(), in order; returns
  // when all are done. The first exception is thrown again here.
  void run(int64_t pieces, const std::function<void(int64_t)>& work);

 private:
  void loop(int64_t thread);

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int64_t)>* work_ = nullptr;
  int64_t pieces_ = 0, busy_ = 0;
  uint64_t round_ = 0;
  bool stop_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

}  // namespace t2v
