// What the schedulers share: noise levels of training, the timesteps of a run, and the clean sample that a
// prediction stands for. Internal to this room.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "schedulers/config.h"
#include "schedulers/scheduler.h"

namespace t2v {

// alphas_cumprod, the share of signal in the variance at each trained timestep: float32
// [num_train_timesteps], on the CPU. Throws Error{usage} when the settings make a value that is not finite.
at::Tensor training_alphas_cumprod(const SchedulerConfig& config);
// The same in float64 where the reference keeps it so (snr_shift_scale).
at::Tensor exact_alphas_cumprod(const SchedulerConfig& config);
std::vector<float> to_vector(const at::Tensor& values);

// Float32 functions by torch's own kernels. Those of MKL differ from the standard library's in the last bit
// (square roots of about every fifth number), and a thousand steps make that visible.
float torch_sqrt(float value);
float torch_exp(float value);
float torch_log(float value);
float torch_expm1(float value);

// numpy.linspace.
std::vector<double> numpy_linspace(double first, double last, int64_t points);

// As schedulers of whole timesteps take them. Throws Error{usage} for others.
std::vector<int64_t> whole_timesteps(const std::vector<double>& timesteps);

// What CogVideoX's schedulers have where their file says nothing.
SchedulerConfig cogvideox_defaults();

// `steps` falling timesteps by config.timestep_spacing. `left_off`: how many points the linspace and leading
// grids have beyond those, at the clean end (0 in DDPM and DDIM, 1 in UniPC and DPM-Solver). Throws
// Error{usage} when steps_offset moves one past the last trained timestep.
std::vector<int64_t> spaced_timesteps(const SchedulerConfig& config, int64_t steps, int64_t left_off);

// The clean sample that `prediction` stands for, clamped when config.clip_sample says so. Any shape.
at::Tensor predicted_clean_sample(const SchedulerConfig& config, NoiseLevel level,
                                  const at::Tensor& prediction, const at::Tensor& sample);
// Whether predicted_clean_sample is finite at this level.
bool clean_sample_is_finite(const SchedulerConfig& config, NoiseLevel level);

// Throws Error{usage}: these settings of a scheduler have no finite result at this step. `advice` says what
// to change.
[[noreturn]] void throw_not_finite(const std::string& scheduler, std::size_t step_index, std::size_t steps,
                                   const std::string& advice);
bool all_finite(std::initializer_list<float> values);

}  // namespace t2v
