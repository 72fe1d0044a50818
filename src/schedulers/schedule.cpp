#include "schedulers/schedule.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace t2v {

namespace {

// The cosine schedule of Nichol and Dhariwal (2021), eq. 17, betas at most 0.999; diffusers
// scheduling_ddpm.py, betas_for_alpha_bar.
at::Tensor cosine_betas(int64_t count) {
  const auto alpha_bar = [count](int64_t i) {
    const double t = static_cast<double>(i) / static_cast<double>(count);
    const double root = std::cos((t + 0.008) / 1.008 * std::numbers::pi / 2);
    return root * root;
  };
  std::vector<float> betas;
  for (int64_t i = 0; i < count; ++i)
    betas.push_back(static_cast<float>(std::min(1 - alpha_bar(i + 1) / alpha_bar(i), 0.999)));
  return at::tensor(betas);
}

at::Tensor training_betas(const SchedulerConfig& config) {
  const auto count = config.num_train_timesteps;
  switch (config.beta_schedule) {
    case BetaSchedule::linear:
      return at::linspace(config.beta_start, config.beta_end, count, at::kFloat);
    case BetaSchedule::scaled_linear:
      return at::linspace(std::sqrt(config.beta_start), std::sqrt(config.beta_end), count, at::kFloat).pow(2);
    case BetaSchedule::squaredcos_cap_v2:
      return cosine_betas(count);
  }
  throw Error(ErrorKind::internal, "an unknown beta schedule");
}

// Lin et al. (2023), "Common diffusion noise schedules and sample steps are flawed", algorithm 1: shifts and
// scales sqrt(alphas_cumprod) so that the last level is pure noise and the first stays as it is; diffusers
// scheduling_ddpm.py, rescale_zero_terminal_snr. Goes back to betas as the reference does, since the later
// cumulative product rounds differently than its source.
at::Tensor with_zero_terminal_snr(const at::Tensor& betas) {
  auto root = at::cumprod(1.0 - betas, 0).sqrt();  // [T]
  const auto first = root[0].clone();
  const auto last = root[-1].clone();
  root = (root - last) * (first / (first - last));
  const auto alphas_cumprod = root.pow(2);
  const auto alphas = at::cat(
      {alphas_cumprod.slice(0, 0, 1), alphas_cumprod.slice(0, 1) / alphas_cumprod.slice(0, 0, -1)});
  return 1 - alphas;
}

// Source: diffusers scheduling_ddim_cogvideox.py, CogVideoXDDIMScheduler.__init__ and
// rescale_zero_terminal_snr.
at::Tensor shifted_alphas_cumprod(const SchedulerConfig& config) {
  const double scale = *config.snr_shift_scale;
  const auto betas = config.beta_schedule == BetaSchedule::scaled_linear
                         ? at::linspace(std::sqrt(config.beta_start), std::sqrt(config.beta_end),
                                        config.num_train_timesteps, at::kDouble)
                               .pow(2)
                         : training_betas(config).to(at::kDouble);
  auto alphas_cumprod = at::cumprod(1.0 - betas, 0);
  alphas_cumprod = alphas_cumprod / (scale + (1 - scale) * alphas_cumprod);
  if (!config.rescale_betas_zero_snr) return alphas_cumprod;
  const auto root = alphas_cumprod.sqrt();  // [T]
  const auto first = root[0].clone(), last = root[-1].clone();
  return ((root - last) * (first / (first - last))).pow(2);
}

// numpy.linspace(0, last, points)[i], rounded half to even as numpy.round does.
int64_t linspace_timestep(double last, int64_t points, int64_t i) {
  if (points == 1) return 0;
  if (i == points - 1) return static_cast<int64_t>(last);
  return static_cast<int64_t>(
      std::nearbyint(static_cast<double>(i) * (last / static_cast<double>(points - 1))));
}

}  // namespace

at::Tensor training_alphas_cumprod(const SchedulerConfig& config) {
  if (config.snr_shift_scale) return exact_alphas_cumprod(config).to(at::kFloat);
  auto betas = training_betas(config);
  if (config.rescale_betas_zero_snr) betas = with_zero_terminal_snr(betas);
  auto alphas_cumprod = at::cumprod(1.0 - betas, 0);
  if (!alphas_cumprod.isfinite().all().item<bool>())
    throw Error(ErrorKind::usage,
                "the noise schedule of " + std::to_string(config.num_train_timesteps) +
                    " training timesteps is not finite: rescale_betas_zero_snr needs betas that differ");
  return alphas_cumprod;
}

at::Tensor exact_alphas_cumprod(const SchedulerConfig& config) {
  return config.snr_shift_scale ? shifted_alphas_cumprod(config)
                                : training_alphas_cumprod(config).to(at::kDouble);
}

std::vector<float> to_vector(const at::Tensor& values) {
  const auto contiguous = values.contiguous();
  const auto* data = contiguous.const_data_ptr<float>();
  return {data, data + contiguous.numel()};
}

float torch_sqrt(float value) { return at::full({}, value, at::kFloat).sqrt().item<float>(); }
float torch_exp(float value) { return at::full({}, value, at::kFloat).exp().item<float>(); }
float torch_log(float value) { return at::full({}, value, at::kFloat).log().item<float>(); }
float torch_expm1(float value) { return at::full({}, value, at::kFloat).expm1().item<float>(); }

std::vector<double> numpy_linspace(double first, double last, int64_t points) {
  std::vector<double> values;
  const double step = (last - first) / static_cast<double>(std::max<int64_t>(points - 1, 1));
  for (int64_t i = 0; i < points; ++i)
    values.push_back(i > 0 && i == points - 1 ? last : static_cast<double>(i) * step + first);
  return values;
}

SchedulerConfig cogvideox_defaults() {
  SchedulerConfig defaults;
  defaults.beta_schedule = BetaSchedule::scaled_linear;
  defaults.beta_start = 0.00085;
  defaults.beta_end = 0.012;
  defaults.snr_shift_scale = 3;
  return defaults;
}

std::vector<int64_t> whole_timesteps(const std::vector<double>& timesteps) {
  std::vector<int64_t> whole;
  for (const double timestep : timesteps) {
    if (timestep != std::floor(timestep))
      throw Error(ErrorKind::usage, "--timesteps: this scheduler's timesteps are whole numbers, found " +
                                        std::to_string(timestep));
    whole.push_back(static_cast<int64_t>(timestep));
  }
  return whole;
}

// Lin et al. (2023), table 2; diffusers set_timesteps. For 62 of the counts 1 ...
// 1000 (61, 103, 121, ...) the reference's floating point range of trailing spacing runs one too far and ends
// at timestep -1; there are `steps` timesteps here.
std::vector<int64_t> spaced_timesteps(const SchedulerConfig& config, int64_t steps, int64_t left_off) {
  const int64_t trained = config.num_train_timesteps;
  const int64_t points = steps + left_off;
  std::vector<int64_t> timesteps;
  if (config.timestep_spacing == TimestepSpacing::trailing) {
    // numpy.arange multiplies by the difference of its first two values, which is a rounded step; halves
    // round as there only with that one.
    const auto start = static_cast<double>(trained);
    const double delta = (start - start / static_cast<double>(steps)) - start;
    for (int64_t i = 0; i < steps; ++i)
      timesteps.push_back(static_cast<int64_t>(std::nearbyint(start + static_cast<double>(i) * delta)) - 1);
  } else {
    for (int64_t i = points - 1; i >= left_off; --i)
      timesteps.push_back(config.timestep_spacing == TimestepSpacing::linspace
                              ? linspace_timestep(static_cast<double>(trained - 1), points, i)
                              : i * (trained / points) + config.steps_offset);
  }
  if (timesteps.front() >= trained)
    throw Error(ErrorKind::usage, std::to_string(steps) + " steps with steps_offset " +
                                      std::to_string(config.steps_offset) + " begin at timestep " +
                                      std::to_string(timesteps.front()) + ", past the last trained one (" +
                                      std::to_string(trained - 1) + "). Use fewer steps");
  return timesteps;
}

// Salimans and Ho (2022), appendix D for v; Song et al. (2021), eq. 12 for epsilon.
at::Tensor predicted_clean_sample(const SchedulerConfig& config, NoiseLevel level,
                                  const at::Tensor& prediction, const at::Tensor& sample) {
  at::Tensor clean;
  switch (config.prediction_type) {
    case PredictionType::epsilon:
      clean = (sample - prediction * level.sigma) / level.alpha;
      break;
    case PredictionType::v_prediction:
      clean = sample * level.alpha - prediction * level.sigma;
      break;
    case PredictionType::sample:
      clean = prediction;
      break;
    case PredictionType::flow_prediction:
      throw Error(ErrorKind::internal, "flow prediction has no variance-preserving noise level");
  }
  return config.clip_sample ? clean.clamp(-config.clip_sample_range, config.clip_sample_range) : clean;
}

bool clean_sample_is_finite(const SchedulerConfig& config, NoiseLevel level) {
  // A clamped infinity is finite: with clipping the reference samples from such a level, and so do we.
  return config.prediction_type != PredictionType::epsilon || config.clip_sample || level.alpha > 0;
}

void throw_not_finite(const std::string& scheduler, std::size_t step_index, std::size_t steps,
                      const std::string& advice) {
  throw Error(ErrorKind::usage,
              "the scheduler " + scheduler + " has no finite result with these settings at step " +
                  std::to_string(step_index + 1) + " of " + std::to_string(steps) + ": " + advice);
}

bool all_finite(std::initializer_list<float> values) {
  for (const float value : values)
    if (!std::isfinite(value)) return false;
  return true;
}

}  // namespace t2v
