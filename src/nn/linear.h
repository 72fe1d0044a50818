// A linear layer as a checkpoint holds it: its weight as numbers, or as packed blocks that stay as they are
// in the file and are expanded at each use.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "weights/packed.h"
#include "weights/weights.h"

namespace t2v {

class Linear {
 public:
  Linear() = default;
  // weight [out, in]; bias [out], or undefined where there is none.
  Linear(at::Tensor weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}
  Linear(PackedMatrix weight, at::Tensor bias) : packed_{std::move(weight)}, bias_(std::move(bias)) {}

  // x [..., in] → [..., out], multiplied in the weight's dtype, in the bias's dtype: they differ where only
  // products are in bfloat16.
  at::Tensor operator()(const at::Tensor& x) const;

  // The weight's rows by index, int64 of any shape → [index..., in]: an embedding.
  at::Tensor rows(const at::Tensor& index) const;

  // Outputs (i, j) of outer x inner in the order (j, i).
  Linear with_outputs_transposed(int64_t outer, int64_t inner) const;

  // Several layers over the same input as one: outputs side by side, in order.
  static Linear join(const std::vector<Linear>& layers);

 private:
  at::Tensor weight_;                 // undefined: packed_ it is
  std::vector<PackedMatrix> packed_;  // below each other
  at::Tensor bias_;
};

// "weight" and "bias" of a scope, or "weight" alone.
Linear load_linear(const WeightScope& weights, int64_t in, int64_t out,
                   Precision weight = Precision::product);
Linear load_linear_without_bias(const WeightScope& weights, int64_t in, int64_t out, Precision weight);

}  // namespace t2v
