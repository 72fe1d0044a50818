// Samplers of diffusion models: from the network's prediction at one noise level to the sample at the next.
// Pure functions of tensors, in float32; all arithmetic is elementwise, so that any layout will do (packed
// tokens [N, C], latents [B, C, T, H, W]) on any device.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schedulers/config.h"

namespace t2v {

// What a multistep scheduler remembers between steps. Whoever saves it and restores it into a scheduler of
// the same settings goes on exactly where the first one was. Empty for all others. The tensors are not to be
// modified in place.
struct SchedulerHistory {
  std::vector<at::Tensor> predictions;    // of the last steps, as the solver uses them (clean samples, or
                                          // noise), oldest first
  std::optional<at::Tensor> last_sample;  // the sample the last predictor started from
  int64_t last_order = 0;                 // the order of the last predictor
  int64_t next_step = 0;                  // the step that may follow
};

// sample = alpha * clean + sigma * noise.
struct NoiseLevel {
  float alpha;
  float sigma;
};

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // What the network is told at each step, one per step, falling.
  const std::vector<double>& timesteps() const { return timesteps_; }

  // The sample at step_index + 1 (after the last step: the clean sample) from the one at step_index and the
  // network's prediction there. prediction, sample, noises: one shape, one device, float32; a prediction of
  // twice as many channels (dimension 1) has a variance in the second half, which only ddpm of a learned
  // variance_type reads. noises: standard normal, as many as noises_needed(step_index). Throws
  // Error{internal} when the arguments are not so.
  at::Tensor step(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                  const std::vector<at::Tensor>& noises);

  // How many noises the step that comes next draws, one after the other: as the reference does, so that the
  // generator is where it is there.
  virtual int64_t noises_needed(int64_t step_index) const = 0;

  // The level of the sample before a step; after the last one it is clean.
  virtual NoiseLevel level(int64_t step_index) const = 0;
  // Content as the sample would be before a step: alpha · clean + sigma · noise. Any shape.
  at::Tensor add_noise(const at::Tensor& clean, const at::Tensor& noise, int64_t step_index) const;

  // The standard deviation of the noise that sampling starts from.
  virtual double init_noise_sigma() const { return 1.0; }

  virtual SchedulerHistory history() const { return {}; }
  virtual void set_history(SchedulerHistory) {}

 protected:
  explicit Scheduler(std::vector<double> timesteps) : timesteps_(std::move(timesteps)) {}
  explicit Scheduler(const std::vector<int64_t>& timesteps)
      : timesteps_(timesteps.begin(), timesteps.end()) {}
  // Whether advance() is given the variance beside the prediction.
  virtual bool reads_variance() const { return false; }
  // step() with its arguments checked.
  virtual at::Tensor advance(const at::Tensor& prediction, int64_t step_index, const at::Tensor& sample,
                             const std::vector<at::Tensor>& noises) = 0;

 private:
  std::vector<double> timesteps_;
};

// What the network was trained to see at a timestep from 0 to num_train_timesteps - 1: of a flow
// (1 - t / T, t / T), else by alphas_cumprod (diffusers scheduling_ddpm.py, add_noise). Throws Error{usage}
// for a timestep out of range.
NoiseLevel training_level(const SchedulerConfig& config, int64_t timestep);

// The steps of a run.
struct Schedule {
  int64_t steps = 0;
  double eta = 0;  // DDIM's share of fresh noise, from 0 (none) to 1 (that of DDPM)
  // Falling, one a step, where the run says them itself; the last step ends at the clean sample.
  std::vector<double> timesteps = {}, sigmas = {};
  std::string sigma_schedule = {};  // karras, exponential or beta, in place of the file's
  int64_t tokens = 0;               // of a clip: where use_dynamic_shifting is set, the shift is theirs
  bool predicts_variance = false;   // the network gives, beside its prediction, as many numbers of variance
};

// The scheduler of a name (scheduler_named) for a model of this config. Throws Error{usage} when steps is not
// in 1 ... num_train_timesteps, for what of the schedule the scheduler does not take, for a model that it
// does not sample, and for settings under which the formulas give infinities or NaN (epsilon prediction at
// zero terminal SNR); Error{bad_input} for what it does not know of the config.
std::unique_ptr<Scheduler> make_scheduler(const std::string& name, const SchedulerConfig& config,
                                          const Schedule& schedule);

}  // namespace t2v
