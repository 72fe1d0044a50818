// From latents to finished files, on a thread of its own, so that the next clips are denoised meanwhile.
#pragma once

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <thread>

#include "models/wan_vae.h"
#include "pipeline/clip_task.h"
#include "pipeline/reporter.h"

namespace t2v {

struct WriterOptions {
  int threads = 1;                          // that decoding may use
  std::function<std::string()> model_hash;  // waits for it where it has to
  std::function<std::filesystem::path(const PlannedClip&)> checkpoint_path;
  std::function<Error(const ClipTask&)> out_of_memory;  // what is said of a clip that does not fit even in
                                                        // small parts
};

class ClipWriter {
 public:
  // memory: as Denoising has it.
  ClipWriter(WanVae& vae, WriterOptions options, std::shared_mutex& memory, Reporter& reporter);
  // Waits for the clip being written and drops the others; finish() first.
  ~ClipWriter();

  // latents [C, T, H, W] in the sampler's space. Waits while two clips are in the queue. Failures go to the
  // reporter: a file that cannot be written leaves its latents beside its name, where that is possible.
  void hand_over(const ClipTask& task, const at::Tensor& latents);

  // Waits until what was handed over is written.
  void wait();
  // The same, and the thread ends.
  void finish();

  // Why nothing more can be written where this clip should go, after another one failed there. Empty: nothing
  // is known against it.
  std::string obstacle(const PlannedClip& clip) const;

 private:
  struct Entry {
    const ClipTask* task;
    at::Tensor latents;
  };
  void run();
  std::optional<Entry> next();
  ClipOutcome write(const ClipTask& task, const at::Tensor& latents);
  int64_t decode(const ClipTask& task, const at::Tensor& latents);
  std::string keep_latents(const ClipTask& task, const at::Tensor& latents);
  void look_for_obstacle(const ClipTask& task, const std::string& message);

  WanVae& vae_;
  WriterOptions options_;
  std::shared_mutex& memory_;
  Reporter& reporter_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;  // queue_, writing_, closed_
  std::deque<Entry> queue_;
  bool writing_ = false;
  bool closed_ = false;
  std::map<std::filesystem::path, std::string> obstacles_;  // by folder
  std::thread thread_;                                      // last: it uses all the others
};

}  // namespace t2v
