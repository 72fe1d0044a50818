#include "pipeline/sampling.h"

#include <ATen/ATen.h>

#include <string>

#include "t2v/error.h"

namespace t2v {

namespace {

void check_finite(const at::Tensor& values, const char* what, int64_t step, int64_t steps, int64_t timestep) {
  if (at::isfinite(values).all().item<bool>()) return;
  throw Error(ErrorKind::non_finite, std::string("denoising: ") + what + " holds NaN or infinity at step " + std::to_string(step + 1) +
                                         " of " + std::to_string(steps) + " (timestep " + std::to_string(timestep) +
                                         "). Nothing was written. Try --dtype float32, a lower --guidance-scale, or check the weights.");
}

}  // namespace

at::Tensor sample(const Denoiser& denoiser, const TextContext& text, Scheduler& scheduler, PackedTokens tokens, double guidance_scale,
                  const SamplingHooks& hooks, Observer& observer) {
  const bool guided = guidance_scale > 1;
  const int64_t count = tokens.values.size(0) / (guided ? 2 : 1);
  const auto& timesteps = scheduler.timesteps();
  const auto steps = static_cast<int64_t>(timesteps.size());
  auto values = tokens.values.narrow(0, 0, count);  // float32 [n, C·pt·ph·pw]
  const auto clean = values;
  const auto known = tokens.known.defined() ? tokens.known.narrow(0, 0, count).unsqueeze(1) : at::Tensor();
  for (int64_t step = 0; step < steps; ++step) {
    observer.check_cancelled();
    const int64_t timestep = timesteps[static_cast<std::size_t>(step)];
    set_values(tokens, values);
    set_timestep(tokens, static_cast<double>(timestep));
    auto prediction = denoiser.predict(tokens, text);
    if (guided) {
      const auto halves = prediction.chunk(2);
      prediction = halves[1] + guidance_scale * (halves[0] - halves[1]);
    }
    check_finite(prediction, "the network's prediction", step, steps, timestep);
    const auto noise = scheduler.needs_noise(step) ? std::optional<at::Tensor>(hooks.noise(step)) : std::nullopt;
    values = scheduler.step(prediction, step, values, noise);
    if (known.defined()) values = at::where(known, clean, values);
    check_finite(values, "the sample", step, steps, timestep);
    if (hooks.after_step) hooks.after_step(step, timestep, values);
    observer.progress({"denoise", step + 1, steps});
  }
  return values;
}

}  // namespace t2v
