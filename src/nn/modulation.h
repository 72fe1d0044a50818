// Adaptive layer norm: a shift, scale and gate that depend on the noise level. Float32 whatever the model's
// dtype. Source: Peebles & Xie 2023 (DiT), adaLN-Zero.
#pragma once

#include <ATen/core/Tensor.h>

namespace t2v {

// One modulation of K noise levels, float32 [K, D] each.
struct Modulation {
  at::Tensor shift, scale, gate;  // gate is undefined where there is none
  at::Tensor level_of_token;  // int64 [N]: the row of each token; undefined when K is 1 (all tokens share it)
                              // or N (each its own)
};

// layer_norm(x) · (1 + scale) + shift; x [N, D] → [N, D] in x's dtype. The norm has no weights of its own.
at::Tensor modulated_layer_norm(const at::Tensor& x, const Modulation& modulation, double epsilon);

// x + y · gate; [N, D], computed in float32, in x's dtype.
at::Tensor gated_residual(const at::Tensor& x, const at::Tensor& y, const Modulation& modulation);

// Layer norm with weights, statistics in float32; [N, D] in x's dtype.
at::Tensor layer_norm_float32(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                              double epsilon);

// x · weight / rms(x) over the last dimension, statistics in float32; [..., D] in x's dtype. Source:
// torch.nn.RMSNorm.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

}  // namespace t2v
