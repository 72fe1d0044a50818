// What the lanes of the next step work on, made on threads of its own beside the step that runs.
#pragma once

#include <ATen/Parallel.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace t2v {

template <class Batch>
class Ahead {
 public:
  // The same batch for the same step and lane, whichever thread asks. Called on several at once.
  using Make = std::function<Batch(int64_t step, int64_t lane)>;

  Ahead(int64_t threads, Make make) : make_(std::move(make)) {
    for (int64_t i = 0; i < threads; ++i) threads_.emplace_back([this] { loop(); });
  }
  ~Ahead() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
  }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  // The batch of a lane in a step; that of its next step is begun. Made here when no thread has begun it.
  Batch take(int64_t step, int64_t lane) {
    std::shared_ptr<Job> job;
    {
      std::unique_lock lock(mutex_);
      job = jobs_[lane];
      std::erase(waiting_, job);
      const bool begun = job && job->step == step && job->begun;
      jobs_[lane] = threads_.empty() ? nullptr : std::make_shared<Job>(Job{step + 1, lane});
      if (jobs_[lane]) waiting_.push_back(jobs_[lane]);
      changed_.notify_all();
      if (begun) changed_.wait(lock, [&] { return job->batch || job->failure; });
      if (!begun) job = nullptr;
    }
    if (!job) return make_(step, lane);
    if (job->failure) std::rethrow_exception(job->failure);
    return std::move(*job->batch);
  }

 private:
  struct Job {
    int64_t step = 0, lane = 0;
    bool begun = false;
    std::optional<Batch> batch{};
    std::exception_ptr failure{};
  };

  void loop() {
    at::set_num_threads(1);
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
      if (stop_) return;
      const auto job = waiting_.front();
      waiting_.pop_front();
      job->begun = true;
      lock.unlock();
      std::optional<Batch> batch;
      std::exception_ptr failure;
      try {
        batch = make_(job->step, job->lane);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      job->batch = std::move(batch);
      job->failure = failure;
      changed_.notify_all();
    }
  }

  Make make_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int64_t, std::shared_ptr<Job>> jobs_;  // by lane
  std::deque<std::shared_ptr<Job>> waiting_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace t2v
