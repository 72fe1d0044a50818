// Euler steps of the probability flow: Karras et al. (2022), "Elucidating the design space of diffusion-based
// generative models", algorithm 2 without churn. Reference: diffusers scheduling_euler_discrete.py.
//
// The reference's sample is clean + sigma * noise, and the network is given it divided by
// sqrt(sigma^2 + 1) (scale_model_input). Here the sample is what the network is given: what is noised,
// traced and saved is of the same levels as with every other scheduler.
#include <ATen/ATen.h>

#include <cmath>

#include "schedulers/reading.h"
#include "schedulers/schedule.h"
#include "schedulers/scheduler_classes.h"
#include "schedulers/sigmas.h"

namespace t2v {

namespace {

void check_euler_config(const SchedulerConfig& config) {
  choice<int>(config.settings, "interpolation_type", 0, {{"linear", 0}}, config.where);
  if (config.prediction_type == PredictionType::v_prediction)
    choice<int>(config.settings, "timestep_type", 0, {{"discrete", 0}}, config.where);
  sigma_spacing(config);
  ends_at_zero(config);
}

// One more than timesteps.
struct EulerSchedule {
  std::vector<double> timesteps;  // [steps], float32
  std::vector<float> sigmas;      // [steps + 1]
};

std::vector<double> timesteps_by_spacing(const SchedulerConfig& config, const Schedule& asked) {
  if (!asked.timesteps.empty()) return asked.timesteps;
  if (config.timestep_spacing == TimestepSpacing::linspace) {
    auto rising = numpy_linspace(0, static_cast<double>(config.num_train_timesteps - 1), asked.steps);
    return {rising.rbegin(), rising.rend()};
  }
  const auto whole = spaced_timesteps(config, asked.steps, 0);
  return {whole.begin(), whole.end()};
}

EulerSchedule schedule_of(const SchedulerConfig& config, const Schedule& asked) {
  const auto spacing = sigma_spacing(config);
  refuse_given_levels(spacing, asked);
  const auto trained = trained_sigmas(config);
  auto timesteps = timesteps_by_spacing(config, asked);
  std::vector<double> sigmas;
  for (auto& timestep : timesteps) {
    timestep = static_cast<float>(timestep);
    sigmas.push_back(sigma_at(trained, timestep));
  }
  if (spacing != SigmaSpacing::by_timestep) {
    sigmas = spaced_sigmas(config, spacing, sigmas.front(), sigmas.back(), asked.steps);
    timesteps = timesteps_of_sigmas(trained, sigmas);
    for (auto& timestep : timesteps) timestep = static_cast<float>(timestep);
  }
  EulerSchedule schedule{.timesteps = timesteps, .sigmas = {sigmas.begin(), sigmas.end()}};
  schedule.sigmas.push_back(ends_at_zero(config) ? 0.0F : trained.front());
  return schedule;
}

// x_next = sample_scale * x + clean_scale * clean
struct EulerStep {
  NoiseLevel level;
  float sample_scale, clean_scale;
};

// The result of the last step is the reference's sample as it is.
EulerStep step_between(double sigma, double next, bool is_last) {
  const double length = std::sqrt(sigma * sigma + 1);
  const double next_length = is_last ? 1 : std::sqrt(next * next + 1);
  return {.level = {.alpha = static_cast<float>(1 / length), .sigma = static_cast<float>(sigma / length)},
          .sample_scale = static_cast<float>(next / sigma * length / next_length),
          .clean_scale = static_cast<float>((1 - next / sigma) / next_length)};
}

class Euler final : public Scheduler {
 public:
  Euler(const SchedulerConfig& config, EulerSchedule schedule)
      : Scheduler(std::move(schedule.timesteps)), config_(config) {
    config_.clip_sample = false;  // which the reference does not know
    const auto& sigmas = schedule.sigmas;
    for (std::size_t i = 0; i < timesteps().size(); ++i) {
      steps_.push_back(step_between(sigmas[i], sigmas[i + 1], i + 1 == timesteps().size()));
      if (!(sigmas[i] > 0 && sigmas[i] >= sigmas[i + 1]))
        throw_not_finite("euler", i, timesteps().size(),
                         "the sigmas do not fall; use fewer steps, or check sigma_min and sigma_max");
    }
  }

  int64_t noises_needed(int64_t) const override { return 0; }
  NoiseLevel level(int64_t step_index) const override { return steps_.at(step_index).level; }

  // The reference begins with noise alone, of the first sigma or, with leading spacing, of the length that a
  // sample has there.
  double init_noise_sigma() const override {
    return config_.timestep_spacing == TimestepSpacing::leading ? 1.0 : steps_.front().level.sigma;
  }

 private:
  at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                     const std::vector<at::Tensor>&) override {
    const auto& step = steps_.at(step_index);
    const auto clean = predicted_clean_sample(config_, step.level, prediction, sample);
    return sample * step.sample_scale + clean * step.clean_scale;
  }

  SchedulerConfig config_;
  std::vector<EulerStep> steps_;
};

}  // namespace

SchedulerClass euler() {
  return {.name = "euler",
          .class_name = "EulerDiscreteScheduler",
          .defaults = {.timestep_spacing = TimestepSpacing::linspace},
          .takes_timesteps = true,
          .takes_sigma_schedule = true,
          .check = check_euler_config,
          .make = [](const SchedulerConfig& config, const Schedule& schedule) -> std::unique_ptr<Scheduler> {
            check_euler_config(config);
            return std::make_unique<Euler>(config, schedule_of(config, schedule));
          }};
}

}  // namespace t2v
