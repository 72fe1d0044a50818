// scheduler_config.json of a diffusers folder, as the settings that our schedulers act on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace t2v {

enum class SchedulerKind { ddpm, ddim, unipc };
enum class BetaSchedule { linear, scaled_linear, squaredcos_cap_v2 };
enum class PredictionType { epsilon, v_prediction, sample, flow_prediction };
enum class TimestepSpacing { leading, linspace, trailing };
enum class VarianceType {
  fixed_small,
  fixed_small_log,
  fixed_large,
  fixed_large_log,
  learned,
  learned_range
};
enum class SolverType { bh1, bh2 };
enum class FinalSigmasType { zero, sigma_min };

// Names and defaults are those of diffusers. A field that a scheduler does not know in the reference has no
// effect on it here either, so one file can serve all three.
struct SchedulerConfig {
  int64_t num_train_timesteps = 1000;
  BetaSchedule beta_schedule = BetaSchedule::linear;
  double beta_start = 0.0001;
  double beta_end = 0.02;
  bool rescale_betas_zero_snr = false;
  // Where it is set, levels are made as CogVideoXDDIMScheduler does it: in float64, with the ratio of signal to
  // noise divided by this (Hoogeboom et al. 2023, "simple diffusion", section 2.3), then rescaled.
  std::optional<double> snr_shift_scale;
  PredictionType prediction_type = PredictionType::epsilon;
  TimestepSpacing timestep_spacing = TimestepSpacing::leading;
  int64_t steps_offset = 0;  // added to the timesteps of leading spacing

  // DDPM and DDIM: the predicted clean sample is clamped to +-clip_sample_range.
  bool clip_sample = false;
  double clip_sample_range = 1.0;

  VarianceType variance_type = VarianceType::fixed_small;  // DDPM
  bool set_alpha_to_one = true;  // DDIM: the last step ends at alpha = 1 rather than at the first trained
                                 // level

  // UniPC
  int64_t solver_order = 2;  // 1 to 3
  SolverType solver_type = SolverType::bh2;
  bool predict_x0 = true;                  // the solver works on the clean sample rather than on the noise
  bool lower_order_final = true;           // the order falls to 1 towards the last step
  std::vector<int64_t> disable_corrector;  // steps after which the corrector is left out
  FinalSigmasType final_sigmas_type = FinalSigmasType::zero;
  bool use_flow_sigmas = false;  // rectified flow: x = (1 - sigma) clean + sigma noise
  double flow_shift = 1.0;
};

// Reads the settings; `where` names the file in messages. Unknown keys are ignored, as checkpoints carry
// many. Defaults of absent keys are those of the file's own `_class_name`; a UniPC file, which knows no
// clipping, gives clip_sample = false also to DDPM and DDIM. Throws Error{bad_input} for a class, value or
// setting that is not supported (a setting that changes results is never ignored).
SchedulerConfig parse_scheduler_config(const Json& json, const std::string& where);

// "ddpm", "ddim" or "unipc", as users write it. Throws Error{usage} naming the nearest one.
SchedulerKind parse_scheduler_kind(const std::string& name);
// "DDPMScheduler", "DDIMScheduler", "CogVideoXDDIMScheduler" (DDIM with levels of its own) or
// "UniPCMultistepScheduler", as `_class_name` has it. Throws Error{bad_input}.
SchedulerKind scheduler_kind_of_class(const std::string& class_name, const std::string& where);
// The name that parse_scheduler_kind takes.
std::string scheduler_name(SchedulerKind kind);

}  // namespace t2v
