#include "pipeline/run/reporter.h"

namespace t2v {

void SerialObserver::progress(const Progress& progress) {
  const std::lock_guard lock(mutex_);
  inner_.progress(progress);
}

void SerialObserver::clip_started(std::size_t plan, std::size_t clip) {
  const std::lock_guard lock(mutex_);
  inner_.clip_started(plan, clip);
}

void SerialObserver::note(const std::string& line) {
  const std::lock_guard lock(mutex_);
  inner_.note(line);
}

void SerialObserver::check_cancelled() {
  const std::lock_guard lock(mutex_);
  inner_.check_cancelled();
}

void SerialObserver::between_calls(const std::function<void()>& action) {
  const std::lock_guard lock(mutex_);
  action();
}

void Reporter::progress(const Progress& progress) {
  const std::lock_guard lock(mutex_);
  if (progress.stage != "decode" || steps_ >= total_steps_) observer_.progress(progress);
}

void Reporter::note(const std::string& line) {
  const std::lock_guard lock(mutex_);
  observer_.note(line);
}

void Reporter::clip_started(std::size_t plan, std::size_t clip) {
  const std::lock_guard lock(clips_mutex_);
  observer_.clip_started(plan, clip);
}

void Reporter::check_cancelled() {
  const std::lock_guard lock(mutex_);
  if (stopped_) std::rethrow_exception(reason_);
  observer_.check_cancelled();
}

void Reporter::count_steps(int64_t steps) {
  const std::lock_guard lock(mutex_);
  steps_ += steps;
  if (steps > 0) observer_.progress({"denoise", steps_, total_steps_});
}

void Reporter::finished(const ClipOutcome& outcome) {
  const std::lock_guard lock(clips_mutex_);
  // A clip that is there under its name is told of, also when the run has been stopped meanwhile.
  if (receiver_failed_ || (stopped_ && !outcome.result)) return;
  try {
    finished_(outcome);
  } catch (...) {
    receiver_failed_ = true;
    stop(std::current_exception());
    throw;
  }
}

void Reporter::stop(const std::exception_ptr& reason) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  reason_ = reason;
  stopped_ = true;
}

void Reporter::rethrow_reason() const {
  const std::lock_guard lock(mutex_);
  if (reason_) std::rethrow_exception(reason_);
}

}  // namespace t2v
