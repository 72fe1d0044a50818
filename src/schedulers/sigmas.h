// Noise levels as sigmas, of clean + sigma * noise: what a model was trained at, and schedules that are
// spaced by them rather than by timesteps. Internal to this room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "schedulers/config.h"
#include "schedulers/scheduler.h"

namespace t2v {

// The sigmas of a run, of sample = alpha * (clean + sigma * noise), or (1 - sigma) clean + sigma noise for a
// flow; one more than timesteps.
struct SigmaSchedule {
  std::vector<int64_t> timesteps;  // [steps]
  std::vector<float> sigmas;       // [steps + 1]
};

enum class SigmaSpacing { by_timestep, karras, exponential, beta };

// use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas. Throws Error{bad_input} for two of them.
SigmaSpacing sigma_spacing(const SchedulerConfig& config);

// In place of what the file says. Throws Error{usage} for other names than karras, exponential and beta.
void set_sigma_spacing(SchedulerConfig& config, const std::string& name);

// At each trained timestep, in float32; rising. With zero terminal SNR the last one is 4096 instead of
// infinite, as in the reference.
std::vector<float> trained_sigmas(const SchedulerConfig& config);

// numpy.interp over 0, 1, 2 ...: a sigma between those of two timesteps.
double sigma_at(const std::vector<float>& trained, double timestep);
// The other way, by their logarithms: diffusers _sigma_to_t.
std::vector<double> timesteps_of_sigmas(const std::vector<float>& trained, const std::vector<double>& sigmas);

// `steps` falling sigmas from the file's sigma_max (or `most`) to its sigma_min (or `least`).
std::vector<double> spaced_sigmas(const SchedulerConfig& config, SigmaSpacing spacing, double most,
                                  double least, int64_t steps);

// Throws Error{usage} where a schedule says the levels that its spacing would.
void refuse_given_levels(SigmaSpacing spacing, const Schedule& schedule);

}  // namespace t2v
