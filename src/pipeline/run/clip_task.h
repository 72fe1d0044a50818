// One clip on its way through a run.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/plan/windows.h"
#include "pipeline/run/checkpoint.h"
#include "pipeline/run/conditions.h"
#include "t2v/generate.h"

namespace t2v {

struct ClipTask {
  const GenerationPlan* plan = nullptr;
  const PlannedClip* clip = nullptr;
  std::size_t plan_index = 0, clip_index = 0;
  std::shared_ptr<const Checkpoint> checkpoint;  // where it goes on, or nothing
  std::vector<std::size_t> texts;                // of the plan's shots, among the embeddings of the run
  std::size_t negative_text = 0;                 // likewise, with guidance
  std::shared_ptr<const ClipContent> content = std::make_shared<ClipContent>();  // read when the clip is
                                                                                 // begun
  at::Tensor image;  // the states of its pictures, where an encoder reads them: [L, dim], on the CPU
  double denoise_seconds = 0;

  // What messages call it.
  std::string name() const {
    return clip->output.empty() ? "the clip of seed " + std::to_string(clip->seed) : clip->output;
  }
  std::size_t first_window() const { return checkpoint ? static_cast<std::size_t>(checkpoint->window) : 0; }
  int64_t first_step() const { return checkpoint ? checkpoint->step : plan->first_step; }  // of that window
  int64_t window_steps() const { return plan->steps - plan->first_step; }
  int64_t steps() const { return window_steps() * windows_in_turn(*plan); }
  int64_t steps_done() const {
    return window_steps() * static_cast<int64_t>(first_window()) + first_step() - plan->first_step;
  }
  int64_t steps_left() const { return steps() - steps_done(); }
  int64_t tokens() const { return tokens_of_pass(*plan) * plan->branches; }  // of a pass
  ClipOutcome failed(const Error& error) const { return {plan_index, clip_index, std::nullopt, error}; }
};

}  // namespace t2v
