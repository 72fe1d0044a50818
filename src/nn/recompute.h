// Gradient checkpointing: memory for time.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace t2v {

using TensorFunction = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// function(inputs), of which backward keeps the inputs alone: it runs the function again for what it needs.
// Gradients have the bits of an ordinary call. What the function captures must not go away before backward; a
// captured leaf gets its gradient too. One of the inputs has to require a gradient. Source: Chen et al. 2016.
at::Tensor recomputed_in_backward(const TensorFunction& function, const std::vector<at::Tensor>& inputs);

}  // namespace t2v
