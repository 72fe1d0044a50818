#include "nn/modulation.h"

#include <ATen/ATen.h>

#include "nn/fused.h"
#include "nn/ops.h"

namespace t2v {

namespace {

// [K, D] → [1 or N, D]
at::Tensor rows_of_tokens(const at::Tensor& rows, const Modulation& modulation) {
  return modulation.level_of_token.defined() ? rows_at(rows, modulation.level_of_token) : rows;
}

}  // namespace

at::Tensor modulated_layer_norm(const at::Tensor& x, const Modulation& modulation, double epsilon) {
  if (fused::takes(x))
    return fused::modulated_layer_norm(x, modulation.shift, modulation.scale, modulation.level_of_token,
                                       epsilon);
  const auto normed = normalise_layer(x.to(at::kFloat), {}, {}, epsilon);
  return at::addcmul(rows_of_tokens(modulation.shift, modulation), normed,
                     rows_of_tokens(modulation.scale, modulation) + 1)
      .to(x.scalar_type());
}

at::Tensor gated_residual(const at::Tensor& x, const at::Tensor& y, const Modulation& modulation) {
  if (fused::takes(x)) return fused::gated_residual(x, y, modulation.gate, modulation.level_of_token);
  return at::addcmul(x.to(at::kFloat), y.to(at::kFloat), rows_of_tokens(modulation.gate, modulation))
      .to(x.scalar_type());
}

at::Tensor layer_norm_float32(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                              double epsilon) {
  return normalise_layer(x.to(at::kFloat), weight, bias, epsilon).to(x.scalar_type());
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  if (fused::takes(x)) return fused::rms_norm(x, weight, epsilon);
  const auto wide = x.to(at::kFloat);
  return (wide * at::rsqrt(wide.square().mean(-1, true) + epsilon)).to(x.scalar_type()) * weight;
}

}  // namespace t2v
