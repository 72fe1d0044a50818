// From noise to latents: packs of clips, denoised by one thread or several side by side.
#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "models/denoiser.h"
#include "pipeline/components.h"
#include "pipeline/run/clip_writer.h"
#include "pipeline/run/memory_gate.h"
#include "pipeline/run/pack_sampler.h"
#include "pipeline/run/reporter.h"

namespace t2v {

struct DenoisingOptions {
  std::size_t workers = 1;  // packs under way at once
  int threads = 1;          // of a worker whose pack is large
  int64_t token_budget = 1;
  bool release_memory = false;  // after each pack
  CheckpointOptions checkpoints;
  std::function<Error(const ClipTask&)> out_of_memory;  // what is said of a clip that does not fit even by
                                                        // itself
};

// What happens to a clip after its last step, or, made in windows, after each.
struct LatentsReceiver {
  std::function<void(const ClipTask&, const at::Tensor& latents)> hand_over;  // [C, T, H, W]
  std::function<ClipStream(const ClipTask&)> open;
  std::function<ClipOutcome(const ClipTask&, ClipStream&)> close;
  std::function<ClipOutcome(const ClipTask&, const Error&)> failed;
  std::function<std::string(const ClipTask&)> obstacle;  // why it should not be begun; empty: nothing
};

class Denoising {
 public:
  // texts: which the tasks point into. memory: shared by what runs side by side, held alone by a clip that
  // found no memory beside the others.
  Denoising(const Denoiser& denoiser, const VideoVae& vae, const ModelConfigs& configs, at::Device device,
            const std::vector<TextStates>& texts, DenoisingOptions options, MemoryGate& memory,
            Reporter& reporter, LatentsReceiver receiver);

  // Denoises all tasks and hands their latents over. A pack that fails is halved until the clip that fails
  // stands alone; its error goes to the reporter.
  void run(std::vector<ClipTask>& tasks);

 private:
  // Of a clip: its latents, or the video that it was written to window by window.
  struct Made {
    at::Tensor latents;
    ClipStream stream;
  };

  void work(const std::vector<Pack>& packs);
  void denoise(const Pack& pack);
  void halve(const Pack& pack);
  bool is_quicker_on_one_thread(const ClipTask& task) const;
  // A clip by itself once more, with nothing beside it, and then with its branches in turn, when memory does
  // not suffice.
  std::vector<Made> make_in_memory(const Pack& pack);
  std::vector<Made> make(const Pack& pack, bool branches_in_turn);
  // What is known of a window. contexts: the frames that each clip's window begins with, or ends with, for
  // all but the one that is made first.
  std::vector<KnownLatents> known_of(const Pack& pack, std::size_t window,
                                     const std::vector<at::Tensor>& contexts) const;
  // The latents of a clip whose windows hand them on.
  std::vector<Made> make_sequence(const Pack& pack, PackSampler& sampler, Observer& observer);
  std::vector<Made> decoded_loops(const Pack& pack, const std::vector<at::Tensor>& latents) const;
  std::vector<Made> make_windows(const Pack& pack, PackSampler& sampler, Observer& observer);
  void close(const ClipTask& task, ClipStream& stream);

  const Denoiser& denoiser_;
  const VideoVae& vae_;
  const ModelConfigs& configs_;
  at::Device device_;
  const std::vector<TextStates>& texts_;
  DenoisingOptions options_;
  MemoryGate& memory_;
  Reporter& reporter_;
  LatentsReceiver receiver_;
  std::atomic<std::size_t> next_pack_{0};
};

}  // namespace t2v
