#include "schedulers/scheduler.h"

#include <ATen/ATen.h>

#include <sstream>

#include "schedulers/schedule.h"

namespace t2v {

namespace {

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
                           const std::optional<at::Tensor>& noise) {
  if (step_index < 0 || step_index >= static_cast<int64_t>(timesteps_.size()))
    throw Error(ErrorKind::internal, "scheduler step " + std::to_string(step_index) + " of a schedule of " +
                                         std::to_string(timesteps_.size()) + " steps");
  if (sample.scalar_type() != at::kFloat)
    throw Error(ErrorKind::internal, "scheduler step: expected a float32 sample, found " + described(sample));
  check_alike("the prediction", prediction, sample);
  if (!needs_noise(step_index)) return advance(prediction, step_index, sample, {});
  if (!noise)
    throw Error(ErrorKind::internal,
                "scheduler step " + std::to_string(step_index) + " needs noise and was given none");
  check_alike("the noise", *noise, sample);
  return advance(prediction, step_index, sample, *noise);
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

std::unique_ptr<Scheduler> make_scheduler(SchedulerKind kind, const SchedulerConfig& config, int64_t steps,
                                          double eta) {
  const auto name = scheduler_name(kind);
  if (steps < 1 || steps > config.num_train_timesteps)
    throw Error(ErrorKind::usage, "expected 1 to " + std::to_string(config.num_train_timesteps) +
                                      " steps (the model's training timesteps), found " +
                                      std::to_string(steps));
  if (!(eta >= 0 && eta <= 1))
    throw Error(ErrorKind::usage, "expected eta between 0 and 1, found " + std::to_string(eta));
  if (eta != 0 && kind != SchedulerKind::ddim)
    throw Error(ErrorKind::usage, "eta belongs to the scheduler ddim; with " + name + " leave it at 0");
  if (kind == SchedulerKind::unipc) return make_unipc(config, steps);

  if (config.prediction_type == PredictionType::flow_prediction || config.use_flow_sigmas)
    throw Error(ErrorKind::usage,
                "the model was trained as a flow, which the scheduler " + name + " cannot sample; use unipc");
  return kind == SchedulerKind::ddpm ? make_ddpm(config, steps) : make_ddim(config, steps, eta);
}

}  // namespace t2v
