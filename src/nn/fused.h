// The row kernels as differentiable operations on tensors: float32 on the CPU. Elsewhere the callers compose
// the same from ATen's operations.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace t2v::fused {

// Whether the row kernels take this tensor: float32 on the CPU.
inline bool takes(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

// layer_norm(x) · (1 + scale) + shift; x [N, D]; shift, scale [K, D]; row int64 [N] says which of the K is a
// token's, undefined when K is 1 or N.
at::Tensor modulated_layer_norm(const at::Tensor& x, const at::Tensor& shift, const at::Tensor& scale,
                                const at::Tensor& row, double epsilon);

// x + h · gate; x, h [N, D], gate [K, D].
at::Tensor gated_residual(const at::Tensor& x, const at::Tensor& h, const at::Tensor& gate,
                          const at::Tensor& row);

// x / rms(x) · weight over the last dimension; x [..., D], weight [D].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

// Self-attention's input: qkv [N, 3·D] → queries and keys normalised by weight [2, D] over all heads and
// turned by rotary (complex64 [N, head_dim / 2]), and values, each [N, D].
struct QueryKeyValue {
  at::Tensor query, key, value;
};
QueryKeyValue normed_rotated_qkv(const at::Tensor& qkv, const at::Tensor& weight, const at::Tensor& rotary,
                                 double epsilon);

// silu(x / |x| · sqrt(C) · gamma) over the channels of each pixel; x [T, C, H, W] channels last, gamma [C].
at::Tensor channel_norm_silu(const at::Tensor& x, const at::Tensor& gamma);

// gelu with tanh; any shape.
at::Tensor gelu_tanh(const at::Tensor& x);

}  // namespace t2v::fused
