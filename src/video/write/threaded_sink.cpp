#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "t2v/error.h"
#include "video/write/encoder.h"

namespace t2v {

namespace {

class ThreadedSink : public FrameSink {
 public:
  ThreadedSink(std::unique_ptr<FrameSink> sink, std::size_t capacity)
      : sink_(std::move(sink)), capacity_(std::max<std::size_t>(capacity, 1)), thread_([this] { run(); }) {}

  ~ThreadedSink() override {
    close(Closing::discard);
    if (thread_.joinable()) thread_.join();
  }

  void write(const Frame& frame) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return queue_.size() < capacity_ || error_; });
    if (error_) std::rethrow_exception(error_);
    queue_.push_back(frame);
    changed_.notify_all();
  }

  void finish() override {
    if (!thread_.joinable()) throw Error(ErrorKind::internal, "a video sink was finished twice");
    close(Closing::finish);
    thread_.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  enum class Closing { no, finish, discard };

  void close(Closing how) {
    const std::lock_guard lock(mutex_);
    closing_ = how;
    changed_.notify_all();
  }

  // The thread. After an error it is gone, and error_ keeps write() from waiting for it.
  void run() {
    try {
      while (const auto frame = next()) sink_->write(*frame);
      if (closing_ == Closing::finish) sink_->finish();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
      changed_.notify_all();
    }
  }

  std::optional<Frame> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !queue_.empty() || closing_ != Closing::no; });
    if (queue_.empty() || closing_ == Closing::discard) return std::nullopt;
    std::optional<Frame> frame = std::move(queue_.front());
    queue_.pop_front();
    changed_.notify_all();
    return frame;
  }

  std::unique_ptr<FrameSink> sink_;
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;  // the queue, closing_ or error_
  std::deque<Frame> queue_;
  Closing closing_ = Closing::no;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses all the others
};

}  // namespace

std::unique_ptr<FrameSink> make_threaded_sink(std::unique_ptr<FrameSink> sink, std::size_t capacity) {
  return std::make_unique<ThreadedSink>(std::move(sink), capacity);
}

}  // namespace t2v
