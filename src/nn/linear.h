// A linear layer as a checkpoint holds it.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "weights/weights.h"

namespace t2v {

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out]

  // x [N, in] → [N, out], multiplied in the weight's dtype, in the bias's dtype: they differ where only
  // products are in bfloat16.
  at::Tensor operator()(const at::Tensor& x) const;
};

Linear load_linear(const WeightScope& weights, int64_t in, int64_t out,
                   Precision weight = Precision::product);

// Several layers over the same input as one: outputs side by side, in order.
Linear join_linear(const std::vector<Linear>& layers);

}  // namespace t2v
