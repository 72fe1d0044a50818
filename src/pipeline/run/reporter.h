// The one voice of a run with several threads: passes progress, notes and outcomes on, and stops all threads
// when one of them has to.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <mutex>

#include "t2v/generate.h"

namespace t2v {

// Passes calls from several threads on to an observer, one at a time.
class SerialObserver : public Observer {
 public:
  explicit SerialObserver(Observer& inner) : inner_(inner) {}
  void progress(const Progress& progress) override;
  void clip_started(std::size_t plan, std::size_t clip) override;
  void note(const std::string& line) override;
  void check_cancelled() override;
  // Runs what must not fall between those calls, such as output to the same terminal. It may use the inner
  // observer, but not this one.
  void between_calls(const std::function<void()>& action);

 private:
  Observer& inner_;
  std::mutex mutex_;
};

// Calls of progress, note and check_cancelled come one at a time, and so do those of clip_started and
// `finished`. The two kinds have a mutex each, since a receiver may take long over a clip (it reads the file
// back and writes a manifest, on a disk that may be slow), and denoising is not to wait for that.
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
  std::mutex clips_mutex_;        // clip_started and finished; taken before mutex_
  bool receiver_failed_ = false;  // under clips_mutex_
  mutable std::mutex mutex_;      // all else
};

}  // namespace t2v
