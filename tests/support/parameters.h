// Parameters in training for tests: those of the random model tests/golden/wan-tiny, and gradients beside
// others.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "paths.h"
#include "train/loop/parameters.h"

namespace t2v::test {

// build: makes the component's network over the weights that it is given.
template <class Build>
ParameterSet tiny_parameters(const std::string& component, const Build& build) {
  auto meta = Weights::meta();
  build(meta.root());
  return ParameterSet::load(meta.asked(), golden("wan-tiny") / component,
                            component == "text_encoder" ? "model" : "diffusion_pytorch_model");
}

// Each gradient is float32, there where the expected one is, and no further from it than `share` of its
// length and 1e-4: what is near 0 in float32 is rounding in bfloat16.
inline void expect_gradients_near(const ParameterSet& found, const ParameterSet& expected, double share) {
  for (std::size_t i = 0; i < expected.list().size(); ++i) {
    const auto& name = expected.list()[i].name;
    const auto &gradient = found.list()[i].value.grad(), &reference = expected.list()[i].value.grad();
    ASSERT_EQ(gradient.defined(), reference.defined()) << name;
    if (!gradient.defined()) continue;
    EXPECT_EQ(gradient.scalar_type(), at::kFloat);
    EXPECT_LT((gradient - reference).norm().item<double>(), share * reference.norm().item<double>() + 1e-4)
        << name;
  }
}

}  // namespace t2v::test
