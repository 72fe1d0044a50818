#include "nn/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "nn/ops.h"

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

// Rows numbered (i, j) in the order (j, i).
at::Tensor transposed_rows(const at::Tensor& x, int64_t outer, int64_t inner) {
  return x.view({outer, inner, -1}).transpose(0, 1).reshape(x.sizes());
}

}  // namespace

at::Tensor Linear::operator()(const at::Tensor& x) const {
  const auto weight = packed_.empty() ? weight_ : expand(packed_, x.device());
  const auto type = weight.scalar_type();
  if (!bias_.defined()) return at::linear(x.to(type), weight);
  if (bias_.scalar_type() == type) return at::linear(x.to(type), weight, bias_);
  return MixedLinear::apply(x, weight, bias_);
}

at::Tensor Linear::rows(const at::Tensor& index) const {
  if (packed_.empty()) return rows_at(weight_, index);
  auto shape = index.sizes().vec();
  shape.push_back(packed_.front().columns);
  return expand({rows_of(packed_.front(), index.flatten())}, index.device()).view(shape);
}

Linear Linear::with_outputs_transposed(int64_t outer, int64_t inner) const {
  Linear other;
  if (weight_.defined()) other.weight_ = transposed_rows(weight_, outer, inner);
  for (auto matrix : packed_) {
    matrix.stored = transposed_rows(matrix.stored, outer, inner);
    if (matrix.scales.defined())
      matrix.scales = transposed_rows(matrix.scales.unsqueeze(1), outer, inner).squeeze(1);
    other.packed_.push_back(std::move(matrix));
  }
  if (bias_.defined()) other.bias_ = transposed_rows(bias_, outer, inner);
  return other;
}

Linear Linear::join(const std::vector<Linear>& layers) {
  const bool dense = std::all_of(layers.begin(), layers.end(),
                                 [](const Linear& layer) { return layer.packed_.empty(); });
  Linear joined;
  std::vector<at::Tensor> weights, biases;
  for (const auto& layer : layers) {
    biases.push_back(layer.bias_);
    if (dense) {
      weights.push_back(layer.weight_);
    } else if (layer.packed_.empty()) {
      const auto& weight = layer.weight_;
      joined.packed_.push_back({nullptr, weight.size(0), weight.size(1), weight, weight.scalar_type()});
    } else {
      joined.packed_.insert(joined.packed_.end(), layer.packed_.begin(), layer.packed_.end());
    }
  }
  if (dense) joined.weight_ = at::cat(weights);
  joined.bias_ = at::cat(biases);
  return joined;
}

Linear load_linear_without_bias(const WeightScope& weights, int64_t in, int64_t out, Precision weight) {
  if (auto packed = weights.take_packed("weight", out, in, weight)) return {std::move(*packed), {}};
  return {weights.take("weight", {out, in}, weight), {}};
}

Linear load_linear(const WeightScope& weights, int64_t in, int64_t out, Precision weight) {
  const auto bias = weight == Precision::product ? Precision::model : weight;
  if (auto packed = weights.take_packed("weight", out, in, weight))
    return {std::move(*packed), weights.take("bias", {out}, bias)};
  auto numbers = weights.take("weight", {out, in}, weight);
  return {std::move(numbers), weights.take("bias", {out}, bias)};
}

}  // namespace t2v
