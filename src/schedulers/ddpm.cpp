// Ancestral sampling: Ho et al. (2020), "Denoising diffusion probabilistic models", algorithm 2 with eq. 6
// and 7. Reference: diffusers scheduling_ddpm.py, DDPMScheduler.step and _get_variance.
#include <ATen/ATen.h>

#include <algorithm>

#include "schedulers/schedule.h"

namespace t2v {

namespace {

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

DdpmStep step_from(const SchedulerConfig& config, float alpha, float alpha_prev) {
  const float step_alpha = alpha / alpha_prev;
  const float beta = 1 - alpha;
  return {.level = {.alpha = torch_sqrt(alpha), .sigma = torch_sqrt(beta)},
          .clean_scale = torch_sqrt(alpha_prev) * (1 - step_alpha) / beta,
          .sample_scale = torch_sqrt(step_alpha) * (1 - alpha_prev) / beta,
          .noise_scale = noise_scale(config.variance_type, alpha, alpha_prev)};
}

class Ddpm final : public Scheduler {
 public:
  Ddpm(const SchedulerConfig& config, int64_t steps)
      : Scheduler(spaced_timesteps(config, steps, 0)), config_(config) {
    const auto alphas_cumprod = to_vector(training_alphas_cumprod(config));
    const auto& t = timesteps();
    for (std::size_t i = 0; i < t.size(); ++i) {
      const float alpha_prev = i + 1 < t.size() ? alphas_cumprod.at(t[i + 1]) : 1.0F;
      const auto step = step_from(config, alphas_cumprod.at(t[i]), alpha_prev);
      if (!all_finite({step.clean_scale, step.sample_scale, step.noise_scale}) ||
          !clean_sample_is_finite(config, step.level))
        throw_not_finite(SchedulerKind::ddpm, i, t.size(),
                         "epsilon prediction at zero terminal SNR divides by zero; use leading spacing");
      steps_.push_back(step);
    }
  }

  bool needs_noise(int64_t step_index) const override { return timesteps().at(step_index) > 0; }
  NoiseLevel level(int64_t step_index) const override { return steps_.at(step_index).level; }

 private:
  at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                     const at::Tensor& noise) override {
    const auto& step = steps_.at(step_index);
    const auto clean = predicted_clean_sample(config_, step.level, prediction, sample);
    const auto mean = clean * step.clean_scale + sample * step.sample_scale;
    return noise.defined() ? mean + noise * step.noise_scale : mean;
  }

  SchedulerConfig config_;
  std::vector<DdpmStep> steps_;
};

}  // namespace

std::unique_ptr<Scheduler> make_ddpm(const SchedulerConfig& config, int64_t steps) {
  return std::make_unique<Ddpm>(config, steps);
}

}  // namespace t2v
