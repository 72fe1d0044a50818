#include "nn/timestep_embedding.h"

#include <ATen/ATen.h>

#include <cmath>

namespace t2v {

at::Tensor timestep_embedding(const at::Tensor& timesteps, int64_t dim) {
  const int64_t half = dim / 2;
  const auto options = at::TensorOptions(at::kFloat).device(timesteps.device());
  const auto exponent = at::arange(half, options) * -std::log(10000.0) / static_cast<double>(half);
  const auto angles = timesteps.to(at::kFloat).unsqueeze(1) * at::exp(exponent).unsqueeze(0);  // [K, half]
  const auto embedding = at::cat({at::cos(angles), at::sin(angles)}, 1);
  return dim % 2 == 0 ? embedding : at::constant_pad_nd(embedding, {0, 1});
}

}  // namespace t2v
