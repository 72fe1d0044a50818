// The one voice of a run with several threads: passes progress, notes and outcomes on, one call at a time,
// and stops all threads when one of them has to.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <mutex>

#include "t2v/generate.h"

namespace t2v {

class Reporter : public Observer {
 public:
  // total_steps: of all clips together.
  Reporter(Observer& observer, const std::function<void(const ClipOutcome&)>& finished, int64_t total_steps)
      : observer_(observer), finished_(finished), total_steps_(total_steps) {}

  // Decoding is told only once all denoising is done: before that it runs beside it, and would be told in
  // between.
  void progress(const Progress& progress) override;
  void note(const std::string& line) override;
  void clip_started(std::size_t plan, std::size_t clip) override;
  // Throws what the observer throws, and after stop() throws at once.
  void check_cancelled() override;

  // Denoising steps done (or given up, or to be done again: negative), each counted once for every clip in
  // it.
  void count_steps(int64_t steps);
  // What became of a clip. Throws what the receiver throws, which stops the run.
  void finished(const ClipOutcome& outcome);

  // The run ends with this exception; the first one counts.
  void stop(const std::exception_ptr& reason);
  bool stopped() const { return stopped_; }
  // Throws the reason, if there is one.
  void rethrow_reason() const;

 private:
  Observer& observer_;
  const std::function<void(const ClipOutcome&)>& finished_;
  const int64_t total_steps_;
  int64_t steps_ = 0;
  std::atomic<bool> stopped_{false};
  std::exception_ptr reason_;
  mutable std::mutex mutex_;
};

}  // namespace t2v
