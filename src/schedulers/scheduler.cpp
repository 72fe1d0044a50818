#include "schedulers/scheduler.h"

#include <ATen/ATen.h>

#include <sstream>

#include "schedulers/schedule.h"
#include "schedulers/scheduler_classes.h"
#include "schedulers/sigmas.h"

namespace t2v {

namespace {

std::string shown(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

std::string described(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.toString() << " " << tensor.sizes();
  return text.str();
}

void check_alike(const char* name, const at::Tensor& tensor, const at::Tensor& sample) {
  if (tensor.scalar_type() != at::kFloat || tensor.sizes() != sample.sizes() ||
      tensor.device() != sample.device())
    throw Error(ErrorKind::internal, std::string("scheduler step: expected ") + name +
                                         " in float32, shaped as the sample and on its device (" +
                                         described(sample) + "), found " + described(tensor));
}

}  // namespace

at::Tensor Scheduler::step(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                           const std::vector<at::Tensor>& noises) {
  if (step_index < 0 || step_index >= static_cast<int64_t>(timesteps_.size()))
    throw Error(ErrorKind::internal, "scheduler step " + std::to_string(step_index) + " of a schedule of " +
                                         std::to_string(timesteps_.size()) + " steps");
  if (sample.scalar_type() != at::kFloat)
    throw Error(ErrorKind::internal, "scheduler step: expected a float32 sample, found " + described(sample));
  const bool is_wide = sample.dim() > 1 && prediction.dim() == sample.dim() &&
                       prediction.size(1) == 2 * sample.size(1);
  const auto mean = is_wide ? prediction.narrow(1, 0, sample.size(1)) : prediction;
  check_alike("the prediction", mean, sample);
  if (reads_variance() && !is_wide)
    throw Error(ErrorKind::internal,
                "scheduler step: expected a variance beside the prediction, found " + described(prediction));
  if (const auto needed = noises_needed(step_index); static_cast<int64_t>(noises.size()) != needed)
    throw Error(ErrorKind::internal, "scheduler step " + std::to_string(step_index) + " needs " +
                                         std::to_string(needed) + " noises and was given " +
                                         std::to_string(noises.size()));
  for (const auto& noise : noises) check_alike("the noise", noise, sample);
  return advance(reads_variance() ? prediction : mean, step_index, sample, noises);
}

at::Tensor Scheduler::add_noise(const at::Tensor& clean, const at::Tensor& noise, int64_t step_index) const {
  if (step_index == static_cast<int64_t>(timesteps_.size())) return clean;
  const auto [alpha, sigma] = level(step_index);
  return clean * alpha + noise * sigma;
}

NoiseLevel training_level(const SchedulerConfig& config, int64_t timestep) {
  if (timestep < 0 || timestep >= config.num_train_timesteps)
    throw Error(ErrorKind::usage, "a timestep should be between 0 and " +
                                      std::to_string(config.num_train_timesteps - 1) + ", found " +
                                      std::to_string(timestep));
  if (config.use_flow_sigmas) {
    const auto sigma = static_cast<float>(timestep) / static_cast<float>(config.num_train_timesteps);
    return {1 - sigma, sigma};
  }
  const float signal = to_vector(training_alphas_cumprod(config)).at(static_cast<std::size_t>(timestep));
  return {torch_sqrt(signal), torch_sqrt(1 - signal)};
}

namespace {

// Of the schedulers that satisfy `condition`.
template <class Condition>
std::string names_where(Condition condition) {
  std::string names;
  for (const auto& one : scheduler_classes())
    if (condition(one) && names.find(one.name) == std::string::npos)
      names += (names.empty() ? "" : ", ") + std::string(one.name);
  return names;
}

// Values of a schedule that a run says itself. A flow at 0 is clean: no step begins there.
void check_given(const char* flag, const std::vector<double>& values, double most, bool above_zero,
                 int64_t steps) {
  if (values.empty()) return;
  if (static_cast<int64_t>(values.size()) != steps)
    throw Error(ErrorKind::usage, std::string(flag) + ": expected a value for each of " +
                                      std::to_string(steps) + " steps, found " +
                                      std::to_string(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool falls = i == 0 ? values[i] <= most : values[i] < values[i - 1];
    if (!falls || !(above_zero ? values[i] > 0 : values[i] >= 0))
      throw Error(ErrorKind::usage, std::string(flag) + ": expected falling values from at most " +
                                        shown(most) + " to " + (above_zero ? "above 0" : "0") + ", found " +
                                        shown(values[i]) + " at place " + std::to_string(i + 1));
  }
}

void check_schedule(const SchedulerClass& scheduler, const SchedulerConfig& config,
                    const Schedule& schedule) {
  const std::string name = scheduler.name;
  const auto trained = config.num_train_timesteps;
  if (schedule.steps < 1 || schedule.steps > trained)
    throw Error(ErrorKind::usage, "expected 1 to " + std::to_string(trained) +
                                      " steps (the model's training timesteps), found " +
                                      std::to_string(schedule.steps));
  if (!(schedule.eta >= 0 && schedule.eta <= 1))
    throw Error(ErrorKind::usage, "expected eta between 0 and 1, found " + std::to_string(schedule.eta));
  if (schedule.eta != 0 && !scheduler.takes_eta)
    throw Error(ErrorKind::usage, "eta belongs to the scheduler ddim; with " + name + " leave it at 0");
  if (!schedule.timesteps.empty() && !scheduler.takes_timesteps)
    throw Error(ErrorKind::usage, "--timesteps: the scheduler " + name + " has timesteps of its own; use " +
                                      names_where([](const auto& one) { return one.takes_timesteps; }));
  if (!schedule.sigmas.empty() && !(scheduler.takes_sigmas && config.use_flow_sigmas))
    throw Error(ErrorKind::usage,
                config.use_flow_sigmas
                    ? "--sigmas: the scheduler " + name + " has sigmas of its own; use " +
                          names_where([](const auto& one) { return one.takes_sigmas; })
                    : "--sigmas is for flow-matching models; for this model use --timesteps");
  if (!schedule.sigma_schedule.empty() && !scheduler.takes_sigma_schedule)
    throw Error(ErrorKind::usage, "--sigma-schedule: the scheduler " + name + " has levels of its own; use " +
                                      names_where([](const auto& one) { return one.takes_sigma_schedule; }));
  if (!schedule.timesteps.empty() && !schedule.sigmas.empty())
    throw Error(ErrorKind::usage, "--timesteps and --sigmas both set the noise levels; leave out one");
  const bool flows = config.use_flow_sigmas;
  check_given("--timesteps", schedule.timesteps, static_cast<double>(flows ? trained : trained - 1), flows,
              schedule.steps);
  check_given("--sigmas", schedule.sigmas, 1, true, schedule.steps);
}

}  // namespace

std::unique_ptr<Scheduler> make_scheduler(const std::string& name, const SchedulerConfig& config,
                                          const Schedule& schedule) {
  const auto& scheduler = scheduler_named(name);
  const bool is_flow = config.use_flow_sigmas || config.prediction_type == PredictionType::flow_prediction;
  if (is_flow && !scheduler.samples_flows)
    throw Error(ErrorKind::usage, "the model was trained as a flow, which the scheduler " + name +
                                      " cannot sample; use " +
                                      names_where([](const auto& one) { return one.samples_flows; }));
  if (!is_flow && !scheduler.samples_levels)
    throw Error(ErrorKind::usage, "the scheduler " + name +
                                      " samples models trained as a flow, and this one was not; use " +
                                      names_where([](const auto& one) { return one.samples_levels; }));
  check_schedule(scheduler, config, schedule);
  if (schedule.sigma_schedule.empty()) return scheduler.make(config, schedule);
  auto spaced = config;
  set_sigma_spacing(spaced, schedule.sigma_schedule);
  return scheduler.make(spaced, schedule);
}

}  // namespace t2v
