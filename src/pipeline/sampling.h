// The denoising loop over packed tokens.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "models/denoiser.h"
#include "schedulers/scheduler.h"
#include "t2v/observer.h"

namespace t2v {

struct SamplingHooks {
  // Standard normal noise for a step, [n, C·pt·ph·pw] like the values of one branch; asked for only when the scheduler needs it.
  std::function<at::Tensor(int64_t step)> noise;
  // The values of one branch after a step.
  std::function<void(int64_t step, int64_t timestep, const at::Tensor& values)> after_step;
};

// tokens: the initial noise (and known content), packed once per guidance branch: conditional first, then unconditional when guidance_scale
// > 1. Returns the clean values of one branch [n, C·pt·ph·pw]. Known tokens come back as they were. Source of the guidance: Ho & Salimans
// 2022, as in diffusers pipeline_wan.py: uncond + scale · (cond - uncond). Throws Error{non_finite} naming the step.
at::Tensor sample(const Denoiser& denoiser, const TextContext& text, Scheduler& scheduler, PackedTokens tokens, double guidance_scale,
                  const SamplingHooks& hooks, Observer& observer);

}  // namespace t2v
