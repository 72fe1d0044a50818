#include "nn/modulation.h"

#include <ATen/ATen.h>

#include "nn/ops.h"

namespace t2v {

at::Tensor modulated_layer_norm(const at::Tensor& x, const Modulation& modulation, double epsilon) {
  const auto wide = x.to(at::kFloat);
  const auto factor = modulation.scale + 1;
  if (factor.size(0) == 1)  // one noise level: the modulation is the norm's own weight and bias, in one pass over x
    return normalise_layer(wide, factor[0], modulation.shift[0], epsilon).to(x.scalar_type());
  return at::addcmul(modulation.shift, normalise_layer(wide, {}, {}, epsilon), factor).to(x.scalar_type());
}

at::Tensor gated_residual(const at::Tensor& x, const at::Tensor& y, const at::Tensor& gate) {
  return at::addcmul(x.to(at::kFloat), y.to(at::kFloat), gate).to(x.scalar_type());
}

at::Tensor layer_norm_float32(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double epsilon) {
  return normalise_layer(x.to(at::kFloat), weight, bias, epsilon).to(x.scalar_type());
}

}  // namespace t2v
