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

bool is_learned(VarianceType type) {
  return type == VarianceType::learned || type == VarianceType::learned_range;
}

// x_prev = clean_scale * clean + sample_scale * x + noise_scale * noise
struct DdpmStep {
  NoiseLevel level;
  float clean_scale;
  float sample_scale;
  float noise_scale;              // 0 of a learned variance
  float log_least, log_variance;  // between which a learned one lies: of eq. 7, and beta
};

// The standard deviation of the noise, of the variance of eq. 7 or of the step's beta.
float noise_scale(VarianceType type, float posterior, float beta) {
  switch (type) {
    case VarianceType::fixed_small:
      return torch_sqrt(posterior);
    case VarianceType::fixed_small_log:
      return torch_exp(0.5F * torch_log(posterior));  // the same, by way of its logarithm
    case VarianceType::fixed_large:
      return torch_sqrt(beta);
    case VarianceType::learned:
    case VarianceType::learned_range:
      return 0;
    case VarianceType::fixed_large_log:  // NaN in the reference's step
      break;
  }
  throw Error(
      ErrorKind::usage,
      "the model's variance_type is fixed_large_log, of which the scheduler ddpm has no finite result; "
      "use ddim or unipc");
}

// alpha and alpha_prev are alphas_cumprod before and after the step.
DdpmStep step_from(VarianceType variance, float alpha, float alpha_prev) {
  const float step_alpha = alpha / alpha_prev;
  const float beta = 1 - alpha;
  const float step_beta = 1 - step_alpha;
  const float posterior = std::max((1 - alpha_prev) / beta * step_beta, 1e-20F);  // eq. 7
  return {.level = {.alpha = torch_sqrt(alpha), .sigma = torch_sqrt(beta)},
          .clean_scale = torch_sqrt(alpha_prev) * (1 - step_alpha) / beta,
          .sample_scale = torch_sqrt(step_alpha) * (1 - alpha_prev) / beta,
          .noise_scale = noise_scale(variance, posterior, step_beta),
          .log_least = torch_log(posterior),
          .log_variance = torch_log(step_beta)};
}

class Ddpm final : public Scheduler {
 public:
  Ddpm(const SchedulerConfig& config, const std::vector<int64_t>& t)
      : Scheduler(t), config_(config), variance_(variance_type(config)) {
    const auto alphas_cumprod = to_vector(training_alphas_cumprod(config));
    for (std::size_t i = 0; i < t.size(); ++i) {
      const float alpha_prev = i + 1 < t.size() ? alphas_cumprod.at(t[i + 1]) : 1.0F;
      const auto step = step_from(variance_, alphas_cumprod.at(t[i]), alpha_prev);
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
  bool reads_variance() const override { return is_learned(variance_); }

  // Of a learned variance: Nichol and Dhariwal (2021), "Improved denoising diffusion probabilistic models",
  // eq. 15, with a share from -1 to 1; or the variance itself.
  at::Tensor deviation(const at::Tensor& predicted, const DdpmStep& step) const {
    if (variance_ == VarianceType::learned) return predicted.sqrt();
    const auto share = (predicted + 1) / 2;
    return ((share * step.log_variance + (1 - share) * step.log_least) * 0.5).exp();
  }

  at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                     const std::vector<at::Tensor>& noises) override {
    const auto& step = steps_.at(step_index);
    const auto parts = reads_variance() ? prediction.chunk(2, 1) : std::vector<at::Tensor>{prediction};
    const auto clean = predicted_clean_sample(config_, step.level, parts[0], sample);
    const auto mean = clean * step.clean_scale + sample * step.sample_scale;
    if (noises.empty()) return mean;
    return mean + (reads_variance() ? noises[0] * deviation(parts[1], step) : noises[0] * step.noise_scale);
  }

  SchedulerConfig config_;
  VarianceType variance_;
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
            if (is_learned(variance_type(config)) && !schedule.predicts_variance)
              throw Error(ErrorKind::usage,
                          "the variance_type of " + config.where +
                              " is learned, and the model's network predicts no variance; use ddim or unipc");
            return std::make_unique<Ddpm>(config, schedule.timesteps.empty()
                                                      ? spaced_timesteps(config, schedule.steps, 0)
                                                      : whole_timesteps(schedule.timesteps));
          }};
}

}  // namespace t2v
