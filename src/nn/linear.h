// A linear layer as a checkpoint holds it.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "weights/weights.h"

namespace t2v {

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out]

  // x [..., in] → [..., out], in the weight's dtype.
  at::Tensor operator()(const at::Tensor& x) const;
};

Linear load_linear(const WeightScope& weights, int64_t in, int64_t out, Precision precision = Precision::model);

// Several layers over the same input as one: outputs side by side, in order.
Linear join_linear(const std::vector<Linear>& layers);

}  // namespace t2v
