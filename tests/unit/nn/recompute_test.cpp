#include "nn/recompute.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "golden.h"

namespace t2v {
namespace {

TEST(Recompute, RunsTheFunctionAgainAndGivesAllGradients) {
  const auto weight = test::random_normal({4, 4}, 1).requires_grad_(true);
  const auto x = test::random_normal({3, 4}, 2).requires_grad_(true);
  const auto constant = test::random_normal({3, 4}, 3);
  int runs = 0;
  const auto function = [&runs, weight](const std::vector<at::Tensor>& in) {
    ++runs;
    EXPECT_FALSE(in[2].defined());
    return at::tanh(at::linear(in[0], weight) * in[1]);
  };
  function({x, constant, at::Tensor()}).square().sum().backward();
  const auto of_x = x.grad().clone(), of_weight = weight.grad().clone();
  x.mutable_grad() = weight.mutable_grad() = at::Tensor();
  runs = 0;
  const auto y = recomputed_in_backward(function, {x, constant, at::Tensor()});
  EXPECT_EQ(runs, 1);
  y.square().sum().backward();
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(at::equal(x.grad(), of_x));
  EXPECT_TRUE(at::equal(weight.grad(), of_weight));
  EXPECT_FALSE(constant.grad().defined());
}

}  // namespace
}  // namespace t2v
