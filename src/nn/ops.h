// Operators that libtorch without Python cannot run on the meta device. There they give a tensor of the right shape, so that networks built
// from Weights::meta can be checked without weights; elsewhere they are ATen's own.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>

namespace t2v {

// x [N, in, H, W], weight [out, in, h, w], bias [out]; padding: zeros on each side, {h, w} → [N, out, H', W'].
at::Tensor convolve_2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t stride,
                       std::array<int64_t, 2> padding);

// Over the last dimension; weight and bias may be undefined.
at::Tensor normalise_layer(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double epsilon);

// softmax(q·kᵀ / sqrt(d))·v; q [B, heads, L, d], k and v [B, heads, S, d] → [B, heads, L, d].
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

}  // namespace t2v
