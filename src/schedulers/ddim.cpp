// Song et al. (2021), "Denoising diffusion implicit models", eq. 12 and 16. Reference: diffusers
// scheduling_ddim.py, DDIMScheduler.step; scheduling_ddim_cogvideox.py, CogVideoXDDIMScheduler.step.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "schedulers/reading.h"
#include "schedulers/schedule.h"
#include "schedulers/scheduler_classes.h"

namespace t2v {

namespace {

// x_prev = alpha_prev * clean + direction * epsilon + noise_scale * noise
struct DdimStep {
  NoiseLevel level;
  float alpha_prev;
  float direction;    // sqrt(1 - alpha_prev^2 - noise_scale^2)
  float noise_scale;  // sigma_t of eq. 16
};

// alpha and alpha_prev are alphas_cumprod before and after the step.
DdimStep step_from(float alpha, float alpha_prev, float eta) {
  const float beta = 1 - alpha;
  const float beta_prev = 1 - alpha_prev;
  const float noise_scale = eta * torch_sqrt(beta_prev / beta * (1 - alpha / alpha_prev));
  // At eta = 1 and zero SNR all of the variance is fresh noise. The square root's argument is then 0 up to
  // rounding, and a rounding below zero is NaN in the reference (20 steps of the shipped model, for example).
  const float direction = torch_sqrt(std::max(beta_prev - noise_scale * noise_scale, 0.0F));
  return {.level = {.alpha = torch_sqrt(alpha), .sigma = torch_sqrt(beta)},
          .alpha_prev = torch_sqrt(alpha_prev),
          .direction = direction,
          .noise_scale = noise_scale};
}

// Without fresh noise, x_prev = sample_scale * x + clean_scale * clean: the same in exact arithmetic,
// computed in float64 as CogVideoX's reference does.
struct ExactStep {
  NoiseLevel level;
  float sample_scale, clean_scale;
};

ExactStep exact_step_from(double alpha, double alpha_prev) {
  const double scale = std::sqrt((1 - alpha_prev) / (1 - alpha));
  return {.level = {.alpha = static_cast<float>(std::sqrt(alpha)),
                    .sigma = static_cast<float>(std::sqrt(1 - alpha))},
          .sample_scale = static_cast<float>(scale),
          .clean_scale = static_cast<float>(std::sqrt(alpha_prev) - std::sqrt(alpha) * scale)};
}

class Ddim final : public Scheduler {
 public:
  Ddim(const SchedulerConfig& config, int64_t steps, double eta)
      : Scheduler(spaced_timesteps(config, steps, 0)), config_(config), eta_(static_cast<float>(eta)) {
    const auto alphas_cumprod = to_vector(training_alphas_cumprod(config));
    const float final_alpha = set_alpha_to_one(config) ? 1.0F : alphas_cumprod.front();
    const auto spaced = spaced_timesteps(config, steps, 0);
    const auto table = exact_alphas_cumprod(config).contiguous();
    const auto* exact = table.const_data_ptr<double>();
    for (std::size_t i = 0; i < spaced.size(); ++i) {
      // The reference counts down by whole steps, which is not always where the next timestep of linspace or
      // trailing spacing stands.
      const int64_t timestep = spaced[i];
      const int64_t previous = timestep - config.num_train_timesteps / steps;
      const auto step = step_from(alphas_cumprod.at(timestep),
                                  previous >= 0 ? alphas_cumprod.at(previous) : final_alpha, eta_);
      if (!all_finite({step.direction, step.noise_scale, 1 / step.level.sigma}) ||
          !clean_sample_is_finite(config, step.level))
        throw_not_finite("ddim", i, spaced.size(),
                         "epsilon prediction at zero terminal SNR divides by zero; use leading spacing");
      steps_.push_back(step);
      if (!config.snr_shift_scale || eta > 0) continue;
      const double last = set_alpha_to_one(config) ? 1.0 : exact[0];
      exact_.push_back(exact_step_from(exact[timestep], previous >= 0 ? exact[previous] : last));
    }
  }

  int64_t noises_needed(int64_t) const override { return eta_ > 0 ? 1 : 0; }
  NoiseLevel level(int64_t step_index) const override { return steps_.at(step_index).level; }

 private:
  at::Tensor predicted_noise(NoiseLevel level, const at::Tensor& prediction, const at::Tensor& sample) const {
    switch (config_.prediction_type) {
      case PredictionType::epsilon:
        return prediction;
      case PredictionType::v_prediction:
        return prediction * level.alpha + sample * level.sigma;
      // From the prediction itself, also when the clean sample is clipped.
      case PredictionType::sample:
        return (sample - prediction * level.alpha) / level.sigma;
      case PredictionType::flow_prediction:
        break;
    }
    throw Error(ErrorKind::internal, "flow prediction has no variance-preserving noise level");
  }

  at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                     const std::vector<at::Tensor>& noises) override {
    if (!exact_.empty()) {
      const auto& step = exact_.at(static_cast<std::size_t>(step_index));
      const auto clean = predicted_clean_sample(config_, step.level, prediction, sample);
      return sample * step.sample_scale + clean * step.clean_scale;
    }
    const auto& step = steps_.at(step_index);
    const auto clean = predicted_clean_sample(config_, step.level, prediction, sample);
    const auto epsilon = predicted_noise(step.level, prediction, sample);
    const auto result = clean * step.alpha_prev + epsilon * step.direction;
    return noises.empty() ? result : result + noises[0] * step.noise_scale;
  }

  SchedulerConfig config_;
  float eta_;
  std::vector<DdimStep> steps_;
  std::vector<ExactStep> exact_;  // in place of them: of levels with snr_shift_scale, without fresh noise
};

}  // namespace

SchedulerClass ddim() {
  return {.name = "ddim",
          .class_name = "DDIMScheduler",
          .defaults = {.clip_sample = true},
          .takes_eta = true,
          .check = [](const SchedulerConfig& config) { set_alpha_to_one(config); },
          .make = [](const SchedulerConfig& config, const Schedule& schedule) -> std::unique_ptr<Scheduler> {
            return std::make_unique<Ddim>(config, schedule.steps, schedule.eta);
          }};
}

// With noise levels of its own.
SchedulerClass cogvideox_ddim() {
  auto scheduler = ddim();
  scheduler.class_name = "CogVideoXDDIMScheduler";
  scheduler.defaults = cogvideox_defaults();
  return scheduler;
}

}  // namespace t2v
