#include "pipeline/run/finite_check.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <sstream>
#include <string>
#include <utility>

#include "t2v/error.h"

namespace t2v {

void FiniteCheck::add(const at::Tensor& prediction, const at::Tensor& values, int64_t step, double timestep) {
  if (values.is_meta()) return;
  const auto finite = at::stack({at::isfinite(prediction).all(), at::isfinite(values).all()});
  const auto device = values.device();
  if (device.is_cpu()) return require(finite, step, timestep);
  // Only a copy into pinned memory does not wait.
  Asked asked{step, timestep, at::empty({2}, at::TensorOptions(at::kBool).pinned_memory(true)),
              c10::Event(device.type())};
  asked.finite.copy_(finite, /*non_blocking=*/true);
  asked.is_there.record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  finish();
  asked_.emplace(std::move(asked));
}

void FiniteCheck::finish() {
  if (!asked_) return;
  const auto asked = std::exchange(asked_, std::nullopt);
  asked->is_there.synchronize();
  require(asked->finite, asked->step, asked->timestep);
}

void FiniteCheck::require(const at::Tensor& finite, int64_t step, double timestep) const {
  const auto* fine = finite.const_data_ptr<bool>();
  if (fine[0] && fine[1]) return;
  std::ostringstream at_timestep;
  at_timestep << timestep;
  throw Error(
      ErrorKind::non_finite,
      std::string("denoising: ") + (fine[0] ? "the sample" : "the network's prediction") +
          " holds NaN or infinity at step " + std::to_string(step + 1) + " of " + std::to_string(steps_) +
          " (timestep " + at_timestep.str() +
          "). Nothing was written. Try --dtype float32, a lower --guidance-scale, or check the weights.");
}

}  // namespace t2v
