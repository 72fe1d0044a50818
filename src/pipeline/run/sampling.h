// The denoising loop over packed tokens.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "models/denoiser.h"
#include "models/expert_denoiser.h"
#include "schedulers/scheduler.h"
#include "t2v/observer.h"

namespace t2v {

// Classifier-free guidance of a clip (Ho & Salimans 2022); a scale of 1 or less is none, whatever the step.
struct Guidance {
  double scale = 1;
  double rescale = 0;  // of the way back to the standard deviation of the conditional prediction: 0 none of
                       // it, 1 all
  double scale_2 = 1;  // in place of `scale` at timesteps below `boundary`
  double boundary = 0;
  // Where it is set, the scale changes with the timestep, of so many steps of the schedule. Source: diffusers
  // pipeline_cogvideox.py, use_dynamic_cfg, which takes the timestep for the number of the step.
  std::optional<int64_t> cosine_steps = std::nullopt;

  double scale_at(double timestep) const;
};

struct SamplingHooks {
  // Standard normal noise for a step, [n, C·pt·ph·pw] like the values of one branch; asked for only when the
  // scheduler needs it, as often as it does.
  std::function<at::Tensor(int64_t step)> noise;
  // Whether after_step writes the values of that step down: then they are known to be finite. Absent: never.
  std::function<bool(int64_t step)> keeps;
  // The values of one branch after a step, and the scheduler as it then stands.
  std::function<void(int64_t step, double timestep, const at::Tensor& values)> after_step;
};

// The segments of a pack that share a forward pass, and what the denoiser made for them.
struct Pass {
  std::size_t begin = 0, end = 0;  // segments
  std::shared_ptr<const Conditioning> conditioning;
};

// One pass for all segments, or, for half of the memory, one for the clips' first branches and one for the
// unconditional ones. It serves all packs of this layout. tokens, guidance: as sample() has them; texts: as
// Denoiser::prepare has them.
std::vector<Pass> prepare_passes(const Denoiser& denoiser, const PackedTokens& tokens,
                                 const std::vector<TextStates>& texts, const std::vector<Guidance>& guidance,
                                 bool branches_in_turn = false);

// What is known of the clips of a pack, laid out as the values of their first branches, [n, C·pt·ph·pw].
struct KnownContent {
  at::Tensor clean, noise;
};

// Denoises the clips of a pack together, from first_step of the schedule on.
// tokens: the noise (or the sample of an earlier step, and known content) of each clip, one segment a clip,
// in order; after that, once more each clip whose guidance scale is above 1, in order: its unconditional
// branch. guidance: one a clip. Returns the clean values [n, C·pt·ph·pw] of the clips' first branches. Tokens
// that are known in all cells, and whose level the network is told, stay as they are given. All other known
// cells are `known` at the level of their token after each step (RePaint: Lugmayr et al. 2022), and at the
// end as `known` is. Sources of the guidance: diffusers pipeline_wan.py, uncond + scale · (cond - uncond); of
// the rescaling: Lin et al. 2023 ("Common diffusion noise schedules and sample steps are flawed",
// section 3.4), diffusers rescale_noise_cfg, over all values of a clip that are new. Throws Error{non_finite}
// naming the step.
at::Tensor sample(const Denoiser& denoiser, const std::vector<Pass>& passes, Scheduler& scheduler,
                  PackedTokens tokens, const std::vector<Guidance>& guidance, const SamplingHooks& hooks,
                  Observer& observer, int64_t first_step = 0,
                  const std::optional<KnownContent>& known = std::nullopt);

}  // namespace t2v
