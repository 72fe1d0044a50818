// Adaptive layer norm: a shift, scale and gate that depend on the noise level. Float32 whatever the model's dtype.
// Source: Peebles & Xie 2023 (DiT), adaLN-Zero.
#pragma once

#include <ATen/core/Tensor.h>

namespace t2v {

// Rows of one modulation, float32: [1, D] when all tokens share one noise level, else [N, D].
struct Modulation {
  at::Tensor shift, scale, gate;  // gate is undefined where there is none
};

// layer_norm(x) · (1 + scale) + shift; x [N, D] → [N, D] in x's dtype. The norm has no weights of its own.
at::Tensor modulated_layer_norm(const at::Tensor& x, const Modulation& modulation, double epsilon);

// x + y · gate; [N, D], computed in float32, in x's dtype.
at::Tensor gated_residual(const at::Tensor& x, const at::Tensor& y, const at::Tensor& gate);

// Layer norm with weights, statistics in float32; [N, D] in x's dtype.
at::Tensor layer_norm_float32(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double epsilon);

}  // namespace t2v
