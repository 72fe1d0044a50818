#include "nn/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace t2v {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

struct Held : torch::CustomClassHolder {
  explicit Held(TensorFunction f) : function(std::move(f)) {}
  TensorFunction function;
};

// The same numbers, at the beginning of a graph of their own.
variable_list cut_off(at::TensorList inputs) {
  variable_list leaves;
  for (const auto& input : inputs) leaves.push_back(input.detach().requires_grad_(input.requires_grad()));
  return leaves;
}

struct Recomputed : Function<Recomputed> {
  static at::Tensor forward(AutogradContext* context, const c10::intrusive_ptr<Held>& held,
                            at::TensorList inputs) {
    context->saved_data["held"] = c10::IValue::make_capsule(held);
    context->save_for_backward(inputs.vec());
    const at::AutoGradMode with_gradients(true);  // operations may go another way without, and round
                                                  // differently
    return held->function(cut_off(inputs)).detach();
  }
  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto held = c10::static_intrusive_pointer_cast<Held>(context->saved_data["held"].toCapsule());
    const auto leaves = cut_off(context->get_saved_variables());
    const at::AutoGradMode with_gradients(true);
    torch::autograd::backward({held->function(leaves)}, {grads[0]});
    variable_list found = {at::Tensor()};  // of `held`
    for (const auto& leaf : leaves) found.push_back(leaf.grad());
    return found;
  }
};

}  // namespace

at::Tensor recomputed_in_backward(const TensorFunction& function, const std::vector<at::Tensor>& inputs) {
  // libtorch's custom functions take no undefined tensors: this one sees the others.
  variable_list present;
  std::vector<bool> is_present;
  for (const auto& input : inputs) {
    is_present.push_back(input.defined());
    if (input.defined()) present.push_back(input);
  }
  const auto of_present = [function, is_present](const variable_list& given) {
    variable_list all;
    auto next = given.begin();
    for (const bool there : is_present) all.push_back(there ? *next++ : at::Tensor());
    return function(all);
  };
  return Recomputed::apply(c10::make_intrusive<Held>(of_present),
                           at::TensorList(present));  // a list: of vectors it sees no variables
}

}  // namespace t2v
