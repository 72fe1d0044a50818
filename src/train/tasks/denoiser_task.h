// Training the diffusion transformer and its text encoder on cached latents.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "models/model.h"
#include "train/data/ahead.h"
#include "train/data/latent_cache.h"
#include "train/tasks/objective.h"
#include "train/tasks/task.h"

namespace t2v {

// How often clips of one length occur, at the beginning and at the end of the schedule; linear in between.
struct LengthShare {
  int64_t frames = 17;
  double first = 1, last = 1;
};

struct DenoiserTaskConfig {
  uint64_t seed = 1;
  int64_t lanes = 4;
  int64_t tokens_per_lane = 2048;  // clips of any size and length are packed into a lane until the next one
                                   // would not fit
  std::vector<LengthShare> lengths = {{1, 1, 1}, {9, 1, 1}, {17, 1, 1}};
  ObjectiveConfig objective;
  double caption_dropout = 0.1;
  int64_t max_text_tokens = 32;
  bool recompute = false;              // gradient checkpointing
  std::vector<int64_t> empty_caption;  // its token ids
  int64_t first_shards = 32,
          steps_per_shard = 0;  // of the cache: there from the start; one more every so many steps (0: none)
  int64_t most_shards = 128;
  int64_t evaluation_clips = 96;
  double helper_weight = 0;      // of scene_helper_loss, per token, at the beginning
  double helper_share = 0.6;     // of the schedule, over which it falls to 0
  at::Device device = at::kCPU;  // where the noise is moved to
  int64_t drawing_threads = 1;   // that make the next step's noise beside the step; they change no number
};

// The networks over parameters named "transformer.…" and "text_encoder.…", and "helper.…"
// (scene_helper_parameters) if it has a weight.
class DenoiserTask : public TrainingTask {
 public:
  DenoiserTask(std::shared_ptr<const Model> model, const DenoiserTaskConfig& config,
               std::shared_ptr<LatentCache> cache, std::vector<CachedClip> held_out);

  Preparation prepare(int64_t step, Workers& workers) override;  // shards of the cache
  void begin_step(int64_t step, double progress, Workers& workers) override;
  int64_t lanes() const override { return config_.lanes; }
  // "loss" (mean over noisy tokens), "loss_T" by length in frames, "clips", "tokens", "padding" (always 0:
  // nothing is padded), "flops" (of the blocks' products, forward and backward; attention's and what is
  // recomputed left out).
  LaneLoss lane_loss(int64_t lane, const ParameterSet& replica) override;
  // "held_out_loss": at fixed noise levels.
  Metrics evaluate(const ParameterSet& average) override;

 private:
  // One clip of a step.
  struct Sample {
    at::Tensor latents;  // float16 [z, T, H, W]
    at::Tensor labels;   // uint8 [kSceneLabels, T, H, W], or undefined
    at::Tensor words;    // uint8 [L, kWordLabels] of the caption, or undefined
    const std::vector<int64_t>* caption = nullptr;
    int64_t frames = 0;  // in pixels' time
    std::vector<TrainingLevel> levels;
  };
  // "loss" is the sum over tokens, weighted. noise: of all their latents, one after the other, on any device.
  LaneLoss loss_of(const ParameterSet& parameters, const std::vector<Sample>& samples, double helper_weight,
                   const at::Tensor& noise) const;
  // Normal numbers for so many tokens.
  at::Tensor make_noise(uint64_t seed, int64_t tokens) const;
  int64_t shards_at(int64_t step) const;
  int64_t tokens_of(const at::Tensor& latents) const;
  int64_t draw_length(WorldRandom& random, double progress) const;

  std::shared_ptr<const Model> model_;
  DenoiserTaskConfig config_;
  Objective objective_;
  std::shared_ptr<LatentCache> cache_;
  std::vector<CachedClip> held_out_;
  int64_t step_ = 0;
  double step_weight_ = 1;
  double helper_weight_ = 0;  // in this step
  std::vector<std::vector<Sample>> lanes_;
  Ahead<at::Tensor> noise_;
};

}  // namespace t2v
