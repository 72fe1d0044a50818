// Rotary position embedding over time, height and width.
// Source: Su et al. 2021 (RoFormer); diffusers transformer_wan.py, WanRotaryPosEmbed and apply_rotary_emb.
#pragma once

#include <ATen/core/Tensor.h>

namespace t2v {

class Rotary {
 public:
  Rotary() = default;
  // The head is split among the axes: height and width take 2·(head_dim / 6) each, time the rest. Positions 0
  // … max_length - 1. Angles are computed in float64 and kept as float32 cosine and sine.
  Rotary(int64_t head_dim, int64_t max_length, at::Device device, double theta = 10000.0);

  // positions int64 [N, 3], all below `extent` on every axis → complex64 [N, head_dim / 2], cos + i·sin. Throws
  // Error{usage} when the table does not reach so far.
  at::Tensor at_positions(const at::Tensor& positions, int64_t extent) const;

 private:
  at::Tensor time_, height_, width_;  // complex64 [max_length, axis / 2]
};

// Rotates interleaved pairs (x0, x1), (x2, x3), … of the last dimension. x [N, …, head_dim], rotary [N,
// head_dim / 2]; result in x's dtype.
at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& rotary);

}  // namespace t2v
