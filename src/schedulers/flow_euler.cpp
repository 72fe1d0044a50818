// Euler steps of a rectified flow: Liu et al. (2022), "Flow straight and fast"; the shifts of Esser et al.
// (2024), "Scaling rectified flow transformers". Reference: diffusers
// scheduling_flow_match_euler_discrete.py; calculate_shift of its pipelines.
#include <ATen/ATen.h>

#include <cmath>

#include "schedulers/reading.h"
#include "schedulers/schedule.h"
#include "schedulers/scheduler_classes.h"
#include "schedulers/sigmas.h"

namespace t2v {

namespace {

enum class TimeShift { exponential, linear };

struct FlowEulerConfig {
  double base_shift = 0.5, max_shift = 1.15;
  int64_t base_image_seq_len = 256, max_image_seq_len = 4096;
  TimeShift time_shift_type = TimeShift::exponential;
  std::optional<double> shift_terminal;  // where the last sigma is moved to
  SigmaSpacing spacing = SigmaSpacing::by_timestep;
  bool stochastic_sampling = false;
};

FlowEulerConfig flow_euler_config(const SchedulerConfig& config) {
  const auto& json = config.settings;
  const auto& where = config.where;
  refuse_if_true(config, {"invert_sigmas"});
  FlowEulerConfig own;
  own.base_shift = json_get_or<double>(json, "base_shift", own.base_shift, where);
  own.max_shift = json_get_or<double>(json, "max_shift", own.max_shift, where);
  constexpr int64_t most = 1'000'000'000;
  own.base_image_seq_len = integer_between(json, "base_image_seq_len", own.base_image_seq_len, 0, most,
                                           where);
  own.max_image_seq_len = integer_between(json, "max_image_seq_len", own.max_image_seq_len,
                                          own.base_image_seq_len + 1, most, where);
  own.time_shift_type = choice<TimeShift>(
      json, "time_shift_type", own.time_shift_type,
      {{"exponential", TimeShift::exponential}, {"linear", TimeShift::linear}}, where);
  if (const double terminal = json_get_or<double>(json, "shift_terminal", 0, where); terminal != 0) {
    if (!(terminal > 0 && terminal < 1))
      refuse_setting(where, "shift_terminal", json.at("shift_terminal").dump(), "a number between 0 and 1");
    own.shift_terminal = terminal;
  }
  own.spacing = sigma_spacing(config);
  own.stochastic_sampling = json_get_or<bool>(json, "stochastic_sampling", false, where);
  return own;
}

double shift_of_tokens(const FlowEulerConfig& own, int64_t tokens) {
  const double slope = (own.max_shift - own.base_shift) /
                       static_cast<double>(own.max_image_seq_len - own.base_image_seq_len);
  const double begin = own.base_shift - slope * static_cast<double>(own.base_image_seq_len);
  return static_cast<double>(tokens) * slope + begin;
}

// In the reference's arithmetic: of Number float64 for sigmas of the scheduler's own, float32 for given ones.
template <class Number>
std::vector<double> shifted(std::vector<Number> sigmas, const SchedulerConfig& config,
                            const FlowEulerConfig& own, int64_t tokens) {
  const double mu = shift_of_tokens(own, tokens);
  const auto dynamic = static_cast<Number>(own.time_shift_type == TimeShift::exponential ? std::exp(mu) : mu);
  const auto shift = static_cast<Number>(config.flow_shift);
  const auto above_one = static_cast<Number>(config.flow_shift - 1);
  for (auto& sigma : sigmas)
    sigma = config.use_dynamic_shifting ? dynamic / (dynamic + (1 / sigma - 1))
                                        : shift * sigma / (1 + above_one * sigma);
  if (own.shift_terminal) {
    const Number scale = (1 - sigmas.back()) / static_cast<Number>(1 - *own.shift_terminal);
    for (auto& sigma : sigmas) sigma = 1 - (1 - sigma) / scale;
  }
  return {sigmas.begin(), sigmas.end()};
}

// At a timestep from 1 to the last trained one, shifted as the reference does it once for all: in float32.
double trained_sigma(const SchedulerConfig& config, int64_t timestep) {
  const float sigma = static_cast<float>(timestep) / static_cast<float>(config.num_train_timesteps);
  if (config.use_dynamic_shifting) return sigma;
  return static_cast<float>(config.flow_shift) * sigma /
         (1 + static_cast<float>(config.flow_shift - 1) * sigma);
}

// [steps + 1]; the last is zero.
std::vector<float> sigmas_of(const SchedulerConfig& config, const FlowEulerConfig& own,
                             const Schedule& schedule) {
  const auto trained = static_cast<double>(config.num_train_timesteps);
  std::vector<double> sigmas;
  if (schedule.timesteps.empty() && schedule.sigmas.empty()) {
    sigmas = numpy_linspace(trained_sigma(config, config.num_train_timesteps) * trained,
                            trained_sigma(config, 1) * trained, schedule.steps);
    for (auto& sigma : sigmas) sigma /= trained;
    sigmas = shifted(sigmas, config, own, schedule.tokens);
  } else {
    std::vector<float> given(schedule.sigmas.begin(), schedule.sigmas.end());
    for (const double timestep : schedule.timesteps)
      given.push_back(static_cast<float>(timestep) / static_cast<float>(trained));
    sigmas = shifted(given, config, own, schedule.tokens);
  }
  if (own.spacing != SigmaSpacing::by_timestep)
    sigmas = spaced_sigmas(config, own.spacing, sigmas.front(), sigmas.back(), schedule.steps);
  std::vector<float> result(sigmas.begin(), sigmas.end());
  result.push_back(0);
  return result;
}

// Given timesteps are told to the network as they are, whatever becomes of their sigmas.
std::vector<double> timesteps_of(const SchedulerConfig& config, const std::vector<float>& sigmas,
                                 const Schedule& schedule) {
  std::vector<double> timesteps;
  for (const double timestep : schedule.timesteps) timesteps.push_back(static_cast<float>(timestep));
  if (timesteps.empty())
    for (std::size_t i = 0; i + 1 < sigmas.size(); ++i)
      timesteps.push_back(sigmas[i] * static_cast<float>(config.num_train_timesteps));
  return timesteps;
}

class FlowEuler final : public Scheduler {
 public:
  FlowEuler(const SchedulerConfig& config, const FlowEulerConfig& own, const Schedule& schedule)
      : FlowEuler(config, sigmas_of(config, own, schedule), schedule, own.stochastic_sampling) {}

  int64_t noises_needed(int64_t) const override { return stochastic_ ? 1 : 0; }
  NoiseLevel level(int64_t step_index) const override {
    const float sigma = sigmas_.at(static_cast<std::size_t>(step_index));
    return {1 - sigma, sigma};
  }

 private:
  FlowEuler(const SchedulerConfig& config, std::vector<float> sigmas, const Schedule& schedule,
            bool stochastic)
      : Scheduler(timesteps_of(config, sigmas, schedule)),
        sigmas_(std::move(sigmas)),
        stochastic_(stochastic) {
    for (std::size_t i = 0; i < timesteps().size(); ++i)
      if (!all_finite({sigmas_[i]}) || !(sigmas_[i] > sigmas_[i + 1]))
        throw_not_finite("flow-euler", i, timesteps().size(),
                         "the sigmas do not fall; check shift_terminal, the shift and --sigmas");
  }

  at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                     const std::vector<at::Tensor>& noises) override {
    const auto i = static_cast<std::size_t>(step_index);
    const float sigma = sigmas_.at(i), next = sigmas_.at(i + 1);
    if (!stochastic_) return sample + prediction * (next - sigma);
    const auto clean = sample - prediction * sigma;
    return clean * (1 - next) + noises[0] * next;
  }

  std::vector<float> sigmas_;  // [steps + 1]
  bool stochastic_;
};

std::unique_ptr<Scheduler> make_flow_euler(const SchedulerConfig& config, const Schedule& schedule) {
  if (config.prediction_type != PredictionType::flow_prediction)
    throw Error(ErrorKind::usage,
                config.where + ": the scheduler flow-euler needs prediction_type flow_prediction; use unipc");
  return std::make_unique<FlowEuler>(config, flow_euler_config(config), schedule);
}

}  // namespace

SchedulerClass flow_euler() {
  return {.name = "flow-euler",
          .class_name = "FlowMatchEulerDiscreteScheduler",
          .defaults = {.prediction_type = PredictionType::flow_prediction, .use_flow_sigmas = true},
          .samples_levels = false,
          .samples_flows = true,
          .takes_timesteps = true,
          .takes_sigmas = true,
          .takes_sigma_schedule = true,
          .check = [](const SchedulerConfig& config) { flow_euler_config(config); },
          .make = make_flow_euler};
}

}  // namespace t2v
