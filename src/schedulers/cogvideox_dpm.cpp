// DPM-Solver++ (2M) of the diffusion's SDE with the clean sample extrapolated from the last two: Lu et al.
// (2022), as CogVideoX uses it. Reference: diffusers scheduling_dpm_cogvideox.py, in its float64.
#include <ATen/ATen.h>

#include <cmath>

#include "schedulers/reading.h"
#include "schedulers/schedule.h"
#include "schedulers/scheduler_classes.h"

namespace t2v {

namespace {

// x_prev = sample_scale * x + clean_scale * D + noise_scale * noise; D is the clean sample, or
// newest * clean - older * the one before
struct DpmStep {
  NoiseLevel level;  // in float32, as content is noised
  NoiseLevel exact;  // the same from float64, as predictions are read
  float sample_scale, clean_scale, noise_scale;
  float newest = 1, older = 0;
  bool is_last = false;  // ends at the clean sample: the one before is not looked at
};

double log_snr(double alpha) { return std::log(std::sqrt(alpha / (1 - alpha))); }

// alphas_cumprod at the step, after it, and before it where there is a step before.
DpmStep step_from(double alpha, double after, std::optional<double> before) {
  const double h = log_snr(after) - log_snr(alpha);
  DpmStep step;
  const auto share = static_cast<float>(alpha);
  step.level = {torch_sqrt(share), torch_sqrt(1 - share)};
  step.exact = {static_cast<float>(std::sqrt(alpha)), static_cast<float>(std::sqrt(1 - alpha))};
  step.sample_scale = static_cast<float>(std::sqrt((1 - after) / (1 - alpha)) * std::exp(-h));
  step.clean_scale = static_cast<float>(-(std::expm1(-2 * h) * std::sqrt(after)));
  step.noise_scale = static_cast<float>(std::sqrt(1 - after) * std::sqrt(1 - std::exp(-2 * h)));
  if (!before) return step;
  const double r = (log_snr(alpha) - log_snr(*before)) / h;
  step.newest = static_cast<float>(1 + 1 / (2 * r));
  step.older = static_cast<float>(1 / (2 * r));
  return step;
}

class CogVideoXDpm final : public Scheduler {
 public:
  CogVideoXDpm(const SchedulerConfig& config, int64_t steps)
      : Scheduler(spaced_timesteps(config, steps, 0)), config_(config) {
    config_.clip_sample = false;  // the reference's step does not look at it
    const auto table = exact_alphas_cumprod(config).contiguous();
    const auto* alphas = table.const_data_ptr<double>();
    const auto spaced = spaced_timesteps(config, steps, 0);
    for (std::size_t i = 0; i < spaced.size(); ++i) {
      const int64_t after = spaced[i] - config.num_train_timesteps / steps;
      const double last = set_alpha_to_one(config) ? 1.0 : alphas[0];
      auto step = step_from(alphas[spaced[i]], after >= 0 ? alphas[after] : last,
                            i > 0 ? std::optional(alphas[spaced[i - 1]]) : std::nullopt);
      step.is_last = after < 0;
      if (!all_finite({step.sample_scale, step.clean_scale, step.noise_scale}) ||
          (!step.is_last && !all_finite({step.newest, step.older})) ||
          !clean_sample_is_finite(config_, step.exact))
        throw_not_finite(
            "cogvideox-dpm", i, spaced.size(),
            "epsilon prediction at zero terminal SNR divides by zero, and so do two steps of one "
            "level");
      steps_.push_back(step);
    }
  }

  // The reference draws one for a first guess that it then makes again.
  int64_t noises_needed(int64_t step_index) const override { return extrapolates(step_index) ? 2 : 1; }
  NoiseLevel level(int64_t step_index) const override {
    return steps_.at(static_cast<std::size_t>(step_index)).level;
  }
  SchedulerHistory history() const override { return history_; }
  void set_history(SchedulerHistory history) override { history_ = std::move(history); }

 private:
  bool extrapolates(int64_t step_index) const {
    return !history_.predictions.empty() && !steps_.at(static_cast<std::size_t>(step_index)).is_last;
  }

  at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                     const std::vector<at::Tensor>& noises) override {
    if (!history_.predictions.empty() && step_index != history_.next_step)
      throw Error(ErrorKind::internal, "scheduler cogvideox-dpm: step " + std::to_string(step_index) +
                                           " where step " + std::to_string(history_.next_step) +
                                           " follows; set an empty history to start anew");
    const auto& step = steps_.at(static_cast<std::size_t>(step_index));
    auto clean = predicted_clean_sample(config_, step.exact, prediction, sample);
    if (clean.is_same(prediction)) clean = clean.clone();  // the caller's own tensor may be a buffer
    const auto used = extrapolates(step_index)
                          ? clean * step.newest - history_.predictions.front() * step.older
                          : clean;
    history_.predictions = {clean};
    history_.next_step = step_index + 1;
    return sample * step.sample_scale + used * step.clean_scale + noises.back() * step.noise_scale;
  }

  SchedulerConfig config_;
  std::vector<DpmStep> steps_;
  SchedulerHistory history_;
};

}  // namespace

SchedulerClass cogvideox_dpm() {
  return {.name = "cogvideox-dpm",
          .class_name = "CogVideoXDPMScheduler",
          .defaults = cogvideox_defaults(),
          .check = [](const SchedulerConfig& config) { set_alpha_to_one(config); },
          .make = [](const SchedulerConfig& config, const Schedule& schedule) -> std::unique_ptr<Scheduler> {
            return std::make_unique<CogVideoXDpm>(config, schedule.steps);
          }};
}

}  // namespace t2v
