#include "nn/linear.h"

#include <ATen/ATen.h>

namespace t2v {

at::Tensor Linear::operator()(const at::Tensor& x) const { return at::linear(x.to(weight.scalar_type()), weight, bias); }

Linear load_linear(const WeightScope& weights, int64_t in, int64_t out, Precision precision) {
  return {weights.take("weight", {out, in}, precision), weights.take("bias", {out}, precision)};
}

Linear join_linear(const std::vector<Linear>& layers) {
  std::vector<at::Tensor> weights;
  std::vector<at::Tensor> biases;
  for (const auto& layer : layers) {
    weights.push_back(layer.weight);
    biases.push_back(layer.bias);
  }
  return {at::cat(weights), at::cat(biases)};
}

}  // namespace t2v
