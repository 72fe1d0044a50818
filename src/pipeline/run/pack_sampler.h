// One pack of clips on its way from noise to latents: everything that stays the same over its windows and
// steps.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/denoiser.h"
#include "pipeline/components.h"
#include "pipeline/run/clip_task.h"
#include "pipeline/run/conditions.h"
#include "pipeline/run/sampling.h"

namespace t2v {

// Clips that are denoised together: of one schedule, cut into windows alike, and equally far.
using Pack = std::vector<ClipTask*>;

struct CheckpointOptions {
  std::optional<int64_t> every;  // steps
  std::function<std::filesystem::path(const PlannedClip&)> path;
  std::string model_hash;
};

// One generator per clip, on the CPU whatever the device, drawn in the order and shape of the reference
// pipeline.
class ClipNoise {
 public:
  // frames_first: as Model::draws_frames_first.
  ClipNoise(int64_t seed, bool frames_first);
  at::Tensor next(std::vector<int64_t> shape);  // [1, C, T, H, W] → float32 [C, T, H, W]
  at::Tensor state() const { return generator_.get_state(); }
  void restore(const at::Tensor& state) { generator_.set_state(state); }

 private:
  at::Generator generator_;
  bool frames_first_;
};

class PackSampler {
 public:
  // texts: as Denoising has them. What is referred to must outlive the sampler.
  PackSampler(const Denoiser& denoiser, const ModelConfigs& configs, at::Device device,
              const std::vector<TextStates>& texts, const CheckpointOptions& checkpoints, const Pack& pack,
              bool branches_in_turn);

  // Denoises one window of each clip; windows come in order. known: what each clip knows of the window. The
  // window in which the clips' checkpoints stand goes on from there. Returns the latents of each clip [C, T,
  // h, w].
  std::vector<at::Tensor> sample_window(std::size_t window, const std::vector<KnownLatents>& known,
                                        Observer& observer);

 private:
  // Each clip's sample to begin with, and the scheduler's memory of it where it goes on.
  struct Beginning {
    std::vector<Clip> clips;
    std::vector<SchedulerHistory> histories;  // of each clip, or none
    int64_t first_step = 0;
    std::optional<KnownContent> known;
  };
  // What depends on the lengths of the clips' windows.
  void lay_out(std::size_t window);
  Beginning begin(std::size_t window, const std::vector<KnownLatents>& known, const Scheduler& scheduler);
  // What is known of one clip, put into what it begins from.
  void put_known(Clip& clip, const at::Tensor& noise, const KnownLatents& known, const Scheduler& scheduler,
                 int64_t first_step) const;
  KnownContent content_of(const std::vector<Clip>& clips, const std::vector<KnownLatents>& known,
                          std::size_t window) const;
  void add_padding(Beginning& beginning) const;
  SamplingHooks hooks(std::size_t window, const Scheduler& scheduler);
  // The tokens of all branches; each segment reads its clip's text, or the negative one.
  PackedTokens tokens_of(const std::vector<Clip>& clips, std::size_t shot) const;
  at::Tensor rows_of(std::size_t clip, const at::Tensor& values) const {
    return values.slice(0, begins_[clip], begins_[clip + 1]);
  }

  const Denoiser& denoiser_;
  at::Device device_;
  const std::vector<TextStates>& texts_;
  const CheckpointOptions& checkpoints_;
  const Pack& pack_;
  PatchSize patch_;
  const ModelConfigs& configs_;
  std::vector<ClipNoise> noises_;
  std::vector<Guidance> guidance_;     // of each clip, and of the padding
  std::vector<TokenGrid> grids_;       // of each clip's window
  std::vector<int64_t> begins_ = {0};  // of each clip among the values
  int64_t padding_ = 0;                // tokens
  bool branches_in_turn_;
  std::vector<Pass> passes_;  // of the windows of a shot that have one layout
  std::size_t passes_shot_ = 0;
};

}  // namespace t2v
