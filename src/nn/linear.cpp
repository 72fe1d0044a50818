#include "nn/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace t2v {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// In another dtype, with rows of zeros up to a multiple: on the CPU oneDNN compiles a product for every
// number of rows that it meets, and packed batches have a new one in every step.
at::Tensor rows_in(const at::Tensor& x, at::ScalarType type) {
  constexpr int64_t multiple = 128;
  const int64_t rows = x.size(0), padded = x.is_cpu() ? (rows + multiple - 1) / multiple * multiple : rows;
  if (padded == rows) return x.to(type);
  auto y = at::empty({padded, x.size(1)}, x.options().dtype(type));
  y.narrow(0, 0, rows).copy_(x);
  y.narrow(0, rows, padded - rows).zero_();
  return y;
}

// x·weightᵀ + bias and its gradients with products in the weight's dtype; x, bias, result and gradients in
// float32. Saved for backward: x in the weight's dtype.
struct MixedLinear : Function<MixedLinear> {
  static Variable forward(AutogradContext* context, const Variable& x, const Variable& weight,
                          const Variable& bias) {
    const auto narrow = rows_in(x, weight.scalar_type());
    context->save_for_backward({narrow, weight});
    return at::mm(narrow, weight.t()).narrow(0, 0, x.size(0)).to(at::kFloat).add_(bias);
  }
  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto grad_y = rows_in(grads[0], weight.scalar_type());
    return {at::mm(grad_y, weight).narrow(0, 0, grads[0].size(0)).to(at::kFloat), at::mm(grad_y.t(), x),
            grads[0].sum(0)};
  }
};

}  // namespace

at::Tensor Linear::operator()(const at::Tensor& x) const {
  const auto type = weight.scalar_type();
  if (bias.scalar_type() == type) return at::linear(x.to(type), weight, bias);
  return MixedLinear::apply(x, weight, bias);
}

Linear load_linear(const WeightScope& weights, int64_t in, int64_t out, Precision weight) {
  const auto bias = weight == Precision::product ? Precision::model : weight;
  return {weights.take("weight", {out, in}, weight), weights.take("bias", {out}, bias)};
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
