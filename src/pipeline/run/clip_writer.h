// From latents to finished files, on a thread of its own, so that the next clips are denoised meanwhile.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "models/video_vae.h"
#include "pipeline/run/clip_sink.h"
#include "pipeline/run/clip_task.h"
#include "pipeline/run/memory_gate.h"
#include "pipeline/run/reporter.h"

namespace t2v {

struct WriterOptions {
  int threads = 1;  // that decoding may use
  std::string model_hash, vae_hash;
  std::function<std::filesystem::path(const PlannedClip&)> checkpoint_path;
  std::function<Error(const ClipTask&)> out_of_memory;  // what is said of a clip that does not fit even in
                                                        // small parts
  FrameReceiver frames;                                 // of clips without an output
};

// A clip that is written while it is made.
struct ClipStream {
  std::unique_ptr<ClipSink> sink;
  double decode_seconds = 0;
};

class ClipWriter {
 public:
  // memory: as Denoising has it.
  ClipWriter(VideoVae& vae, WriterOptions options, MemoryGate& memory, Reporter& reporter);
  // Waits for the clip being written and drops the others; finish() first.
  ~ClipWriter();

  // latents [C, T, H, W] in the sampler's space. Waits while two clips are in the queue. Failures go to the
  // reporter: a file that cannot be written leaves its latents beside its name, where that is possible.
  void hand_over(const ClipTask& task, const at::Tensor& latents);

  // A clip that is made window by window is written by its maker's own thread.
  ClipStream open(const ClipTask& task);
  // Gives the file its name. What fails here or while writing goes to failed().
  ClipOutcome close(const ClipTask& task, ClipStream& stream);
  // The outcome of a clip whose file could not be written.
  ClipOutcome failed(const ClipTask& task, const Error& error);

  // Waits until what was handed over is written.
  void wait();
  // The same, and the thread ends.
  void finish();

  // Why nothing more can be written where this clip should go, after another one failed there. Empty: nothing
  // is known against it.
  std::string obstacle(const PlannedClip& clip) const;

 private:
  struct Entry {
    ClipTask task;  // with its content, which the denoiser lets go
    at::Tensor latents;
    std::optional<c10::Event> are_there;  // on a card: when its queue has made the latents
  };
  void run();
  std::optional<Entry> next();
  ClipOutcome write(const ClipTask& task, const at::Tensor& latents);
  Json provenance(const ClipTask& task) const;
  int64_t decode(const ClipTask& task, const at::Tensor& latents);
  std::unique_ptr<ClipSink> sink_of(const ClipTask& task) const;
  EncoderOptions encoder_options(const ClipTask& task) const;
  ClipOutcome finished(const ClipTask& task, int64_t frames, double decode_seconds);
  std::string keep_latents(const ClipTask& task, const at::Tensor& latents);
  void look_for_obstacle(const ClipTask& task, const std::string& message);

  VideoVae& vae_;
  WriterOptions options_;
  MemoryGate& memory_;
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
