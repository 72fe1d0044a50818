#include "train/tasks/objective.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "schedulers/schedule.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// Box and Muller 1958; 1 - u keeps the logarithm finite.
double normal(WorldRandom& random) {
  return std::sqrt(-2 * std::log(1 - random.uniform())) * std::cos(2 * std::numbers::pi * random.uniform());
}

double draw_share(const ObjectiveConfig& config, WorldRandom& random) {
  const bool uniform = config.sampling == TimestepSampling::uniform ||
                       random.uniform() < config.uniform_share;
  if (uniform) return random.uniform();
  return 1 / (1 + std::exp(-(config.logit_mean + config.logit_deviation * normal(random))));
}

}  // namespace

Objective::Objective(const ObjectiveConfig& config) : config_(config) {
  const auto type = config.scheduler.prediction_type;
  if (type == PredictionType::sample)
    throw Error(
        ErrorKind::usage,
        "training: prediction type 'sample' is not supported; use epsilon, v_prediction or flow_prediction");
  if (type == PredictionType::flow_prediction) return;
  alphas_cumprod_ = to_vector(training_alphas_cumprod(config.scheduler));
  if (type == PredictionType::epsilon && config.scheduler.rescale_betas_zero_snr)
    throw Error(ErrorKind::usage,
                "training: with zero terminal SNR the last level is pure noise, from which epsilon says "
                "nothing; use v_prediction");
}

TrainingLevel Objective::level(double share) const {
  TrainingLevel level;
  const auto steps = config_.scheduler.num_train_timesteps;
  if (alphas_cumprod_.empty()) {
    const double shift = config_.scheduler.flow_shift;
    const double sigma = shift * share / (1 + (shift - 1) * share);
    level.sigma = static_cast<float>(sigma);
    level.alpha = static_cast<float>(1 - sigma);
    level.timestep = static_cast<float>(sigma * static_cast<double>(steps));
  } else {
    const auto index = std::clamp<int64_t>(static_cast<int64_t>(share * static_cast<double>(steps)), 0,
                                           steps - 1);
    const float kept = alphas_cumprod_[static_cast<std::size_t>(index)];
    level.timestep = static_cast<float>(index);
    level.alpha = std::sqrt(kept);
    level.sigma = std::sqrt(1 - kept);
  }
  if (config_.min_snr_gamma > 0) {
    const double snr = std::max(1e-8, std::pow(level.alpha / std::max(level.sigma, 1e-4F), 2.0));
    const double on_clean = std::min(snr, config_.min_snr_gamma);
    // The loss on the clean sample, in units of the one on epsilon, v (1 / (SNR + 1), which is sigma² there)
    // and the flow.
    const auto type = config_.scheduler.prediction_type;
    if (type == PredictionType::flow_prediction)
      level.weight = static_cast<float>(on_clean * level.sigma * level.sigma);
    else
      level.weight = static_cast<float>(on_clean / (type == PredictionType::epsilon ? snr : snr + 1));
  }
  return level;
}

std::vector<TrainingLevel> Objective::draw(int64_t frames, WorldRandom& random) const {
  const auto shared = level(draw_share(config_, random));
  std::vector<TrainingLevel> levels(static_cast<std::size_t>(frames), shared);
  const double kind = random.uniform();
  if (frames < 2) return levels;
  if (kind < config_.first_clean_share) {
    const auto most = static_cast<std::size_t>(config_.first_clean_frames);
    const auto clean = std::min<std::size_t>(levels.size() - 1, 1 + random.index(most));
    TrainingLevel known{0, 1, 0, 0};
    if (config_.first_noise > 0 && random.uniform() < 0.5) {
      known = level(random.uniform() * config_.first_noise);
      known.weight = 0;
    }
    for (std::size_t i = 0; i < clean; ++i) levels[i] = known;
  } else if (kind < config_.first_clean_share + config_.independent_share) {
    for (auto& one : levels) one = level(draw_share(config_, random));
  }
  return levels;
}

at::Tensor Objective::target(const at::Tensor& clean, const at::Tensor& noise, const at::Tensor& alpha,
                             const at::Tensor& sigma) const {
  switch (config_.scheduler.prediction_type) {
    case PredictionType::epsilon:
      return noise;
    case PredictionType::v_prediction:
      return alpha * noise - sigma * clean;
    default:
      return noise - clean;
  }
}

}  // namespace t2v
