// scheduler_config.json of a diffusers folder: what all schedulers share, and the file itself, from which
// each reads what it alone knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace t2v {

enum class BetaSchedule { linear, scaled_linear, squaredcos_cap_v2 };
enum class PredictionType { epsilon, v_prediction, sample, flow_prediction };
enum class TimestepSpacing { leading, linspace, trailing };

// How a model was trained, and the timesteps that it is sampled at. Names and defaults are those of
// diffusers.
struct SchedulerConfig {
  int64_t num_train_timesteps = 1000;
  BetaSchedule beta_schedule = BetaSchedule::linear;
  double beta_start = 0.0001;
  double beta_end = 0.02;
  bool rescale_betas_zero_snr = false;
  // Where it is set, levels are made as CogVideoX's schedulers do it: in float64, with the ratio of signal to
  // noise divided by this (Hoogeboom et al. 2023, "simple diffusion", section 2.3), then rescaled.
  std::optional<double> snr_shift_scale = std::nullopt;
  PredictionType prediction_type = PredictionType::epsilon;
  TimestepSpacing timestep_spacing = TimestepSpacing::leading;
  int64_t steps_offset = 0;  // added to the timesteps of leading spacing

  // The predicted clean sample is clamped to +-clip_sample_range (DDPM and DDIM).
  bool clip_sample = false;
  double clip_sample_range = 1.0;

  bool use_flow_sigmas = false;       // rectified flow: x = (1 - sigma) clean + sigma noise
  double flow_shift = 1.0;            // of the sigmas; "shift" in a file of a scheduler of flows alone
  bool use_dynamic_shifting = false;  // a shift by the number of tokens in place of it

  // Not of the file: the pipeline writes each step's result over the sample that the step was given, which
  // UniPC takes for that sample where it did not correct it.
  bool overwrites_samples = false;

  std::string scheduler = {};  // as scheduler_named takes it: that of the file's "_class_name"
  Json settings = {};          // the file
  std::string where = {};      // its name in messages
};

// Reads the settings. Unknown keys are ignored, as checkpoints carry many. Defaults of absent keys are those
// of the file's own `_class_name`; a file of a class that knows no clipping gives clip_sample = false also to
// DDPM and DDIM. Throws Error{bad_input} for a class that t2v does not have, and for a value or setting of it
// that is not supported (a setting that changes results is never ignored).
SchedulerConfig parse_scheduler_config(const Json& json, const std::string& where);

}  // namespace t2v
