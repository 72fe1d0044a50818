// Operators that libtorch without Python cannot run on the meta device, where they give a tensor of the right
// shape, so that networks built from Weights::meta can be checked without weights; and operators whose result
// on the CPU would depend on what is computed beside it (see the note in ops.cpp).
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <string>
#include <vector>

namespace t2v {

// x [N, in, H, W], weight [out, in, h, w], bias [out]; padding: zeros on each side, {h, w} → [N, out, H',
// W'], multiplied in the weight's dtype, in that of x and bias.
at::Tensor convolve_2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t stride,
                       std::array<int64_t, 2> padding);

// gelu with tanh, any shape; silu over x itself. On the CPU each element's result depends on nothing but the
// element.
at::Tensor gelu_tanh(const at::Tensor& x);
at::Tensor& silu_in_place(at::Tensor& x);

// Rows of x [R, …] by index, int64 of any shape → [index…, …]. Rows may be asked for more than once; their
// gradients are added up.
at::Tensor rows_at(const at::Tensor& x, const at::Tensor& index);

// x where mask (bool) is true, elsewhere y, of y's shape; the others spread to it.
at::Tensor choose(const at::Tensor& mask, const at::Tensor& x, const at::Tensor& y);

// Over the last dimension; weight and bias may be undefined.
at::Tensor normalise_layer(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                           double epsilon);

// softmax(q·kᵀ / sqrt(d))·v; q [B, heads, L, d], k and v [B, heads, S, d] → [B, heads, L, d].
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

// libtorch's ways to compute it on a card, by their names, the first that takes a shape being used.
const std::vector<std::string>& attention_order();
// From now on, in this process. Quickest first on the cards that bfloat16 is meant for: cuDNN's attention
// takes about 0.7 of flash's time there (published figures; docs/gpu.md).
void use_attention_order();
// Which of them attention of 12 heads of 128 over 4096 tokens takes there; empty where libtorch cannot say.
std::string attention_taken(at::Device device, at::ScalarType dtype);

}  // namespace t2v
