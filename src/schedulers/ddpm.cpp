// Ancestral sampling: Ho et al. (2020), "Denoising diffusion probabilistic models", algorithm 2 with eq. 6
// and 7. Reference: diffusers scheduling_ddpm.py, DDPMScheduler.step and _get_variance.
#include <ATen/ATen.h>

#include <algorithm>

#include "schedulers/reading.h"
#include "schedulers/schedule.h"
#include "schedulers/scheduler_classes.h"

namespace t2v {

namespace {

enum class VarianceType {
  fixed_small,
  fixed_small_log,
  fixed_large,
  fixed_large_log,
  learned,
  learned_range
};

VarianceType variance_type(const SchedulerConfig& config) {
  return choice<VarianceType>(config.settings, "variance_type", VarianceType::fixed_small,
                              {{"fixed_small", VarianceType::fixed_small},
                               {"fixed_small_log", VarianceType::fixed_small_log},
                               {"fixed_large", VarianceType::fixed_large},
                               {"fixed_large_log", VarianceType::fixed_large_log},
                               {"learned", VarianceType::learned},
                               {"learned_range", VarianceType::learned_range}},
                              config.where);
}

// x_prev = clean_scale * clean + sample_scale * x + noise_scale * noise
struct DdpmStep {
  NoiseLevel level;
  float clean_scale;
  float sample_scale;
  float noise_scale;
};

// The standard deviation of the noise; alpha and alpha_prev are alphas_cumprod before and after the step.
float noise_scale(VarianceType type, float alpha, float alpha_prev) {
  const float beta = 1 - alpha / alpha_prev;                                        // of this step alone
  const float posterior = std::max((1 - alpha_prev) / (1 - alpha) * beta, 1e-20F);  // eq. 7
  switch (type) {
    case VarianceType::fixed_small:
      return torch_sqrt(posterior);
    case VarianceType::fixed_small_log:
      return torch_exp(0.5F * torch_log(posterior));  // the same, by way of its logarithm
    case VarianceType::fixed_large:
      return torch_sqrt(beta);
    case VarianceType::fixed_large_log:  // NaN in the reference's step
    case VarianceType::learned:
    case VarianceType::learned_range:
      break;
  }
  throw Error(ErrorKind::usage,
              "the model's variance_type is learned or fixed_large_log; the scheduler ddpm supports "
              "fixed_small, fixed_small_log and "
              "fixed_large. Use ddim or unipc");
}

DdpmStep step_from(VarianceType variance, float alpha, float alpha_prev) {
  const float step_alpha = alpha / alpha_prev;
  const float beta = 1 - alpha;
  return {.level = {.alpha = torch_sqrt(alpha), .sigma = torch_sqrt(beta)},
          .clean_scale = torch_sqrt(alpha_prev) * (1 - step_alpha) / beta,
          .sample_scale = torch_sqrt(step_alpha) * (1 - alpha_prev) / beta,
          .noise_scale = noise_scale(variance, alpha, alpha_prev)};
}

class Ddpm final : public Scheduler {
 public:
  Ddpm(const SchedulerConfig& config, const std::vector<int64_t>& t) : Scheduler(t), config_(config) {
    const auto alphas_cumprod = to_vector(training_alphas_cumprod(config));
    const auto variance = variance_type(config);
    for (std::size_t i = 0; i < t.size(); ++i) {
      const float alpha_prev = i + 1 < t.size() ? alphas_cumprod.at(t[i + 1]) : 1.0F;
      const auto step = step_from(variance, alphas_cumprod.at(t[i]), alpha_prev);
      if (!all_finite({step.clean_scale, step.sample_scale, step.noise_scale}) ||
          !clean_sample_is_finite(config, step.level))
        throw_not_finite("ddpm", i, t.size(),
                         "epsilon prediction at zero terminal SNR divides by zero; use leading spacing");
      steps_.push_back(step);
    }
  }

  int64_t noises_needed(int64_t step_index) const override { return timesteps().at(step_index) > 0 ? 1 : 0; }
  NoiseLevel level(int64_t step_index) const override { return steps_.at(step_index).level; }

 private:
  at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                     const std::vector<at::Tensor>& noises) override {
    const auto& step = steps_.at(step_index);
    const auto clean = predicted_clean_sample(config_, step.level, prediction, sample);
    const auto mean = clean * step.clean_scale + sample * step.sample_scale;
    return noises.empty() ? mean : mean + noises[0] * step.noise_scale;
  }

  SchedulerConfig config_;
  std::vector<DdpmStep> steps_;
};

}  // namespace

SchedulerClass ddpm() {
  return {.name = "ddpm",
          .class_name = "DDPMScheduler",
          .defaults = {.clip_sample = true},
          .takes_timesteps = true,
          .check = [](const SchedulerConfig& config) { variance_type(config); },
          .make = [](const SchedulerConfig& config, const Schedule& schedule) -> std::unique_ptr<Scheduler> {
            return std::make_unique<Ddpm>(config, schedule.timesteps.empty()
                                                      ? spaced_timesteps(config, schedule.steps, 0)
                                                      : whole_timesteps(schedule.timesteps));
          }};
}

}  // namespace t2v
