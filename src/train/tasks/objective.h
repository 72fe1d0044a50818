// What a denoiser is trained to predict, at which noise levels.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "schedulers/config.h"
#include "world/world.h"

namespace t2v {

enum class TimestepSampling { uniform, logit_normal };

struct ObjectiveConfig {
  SchedulerConfig scheduler;  // prediction type (epsilon, v_prediction, flow_prediction) and noise schedule,
                              // as sampling will use them
  TimestepSampling sampling = TimestepSampling::logit_normal;
  double logit_mean = 0, logit_deviation = 1;
  double uniform_share = 0.2;  // of logit_normal's draws are uniform all the same, so that no level is left
                               // out
  double min_snr_gamma = 0;  // Hang et al. 2023: weight min(SNR, gamma) / SNR on the clean sample's scale; 0
                             // for none
  // How the noise levels of a clip's latent frames relate (diffusion forcing, Chen et al. 2024); shares of
  // the clips with more than one latent frame, the rest being all equal.
  double first_clean_share = 0.2;  // the first frames are clean: continuing an image or a clip
  int64_t first_clean_frames = 2;  // as many at most, each number as often
  double first_noise = 0;  // above 0, half of those clips' first frames are only nearly clean: at one level,
                           // up to so far of the way to noise
  double independent_share = 0.1;  // each frame has its own level
};

// A noise level: sample = alpha · clean + sigma · noise; timestep is what the network is told. A clean frame
// has timestep 0, alpha 1, sigma 0.
struct TrainingLevel {
  float timestep = 0, alpha = 1, sigma = 0;
  float weight = 1;  // in the loss; 0 for clean frames
};

class Objective {
 public:
  explicit Objective(const ObjectiveConfig& config);

  // The levels of a clip's latent frames.
  std::vector<TrainingLevel> draw(int64_t frames, WorldRandom& random) const;
  // The level at `share` of the way from clean to noise, 0 < share < 1.
  TrainingLevel level(double share) const;

  // What the network should predict; clean, noise any shape, alpha and sigma broadcast over them.
  // Sources: Ho et al. 2020, algorithm 1 (epsilon); Salimans & Ho 2022 (v); Lipman et al. 2023 (flow: noise -
  // clean).
  at::Tensor target(const at::Tensor& clean, const at::Tensor& noise, const at::Tensor& alpha,
                    const at::Tensor& sigma) const;

 private:
  ObjectiveConfig config_;
  std::vector<float> alphas_cumprod_;  // empty for flow matching
};

}  // namespace t2v
