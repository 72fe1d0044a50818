#include "pipeline/flop_counter.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "nn/ops.h"

namespace t2v {
namespace {

template <class Action>
double flops_of(const Action& action) {
  const FlopCounter counter;
  action();
  return counter.flops();
}

TEST(FlopCounter, CountsProductsConvolutionsAndAttentionOnce) {
  const auto x = at::rand({6, 10}), weight = at::rand({4, 10}), bias = at::rand({4});
  EXPECT_EQ(flops_of([&] { at::linear(x, weight, bias); }), 2.0 * 6 * 4 * 10);
  EXPECT_EQ(flops_of([&] { at::mm(x, weight.t()); }), 2.0 * 6 * 4 * 10);
  EXPECT_EQ(flops_of([&] { at::bmm(at::rand({3, 5, 7}), at::rand({3, 7, 2})); }), 3 * 2.0 * 5 * 2 * 7);
  EXPECT_EQ(flops_of([&] {
              at::conv2d(at::rand({2, 3, 8, 8}), at::rand({5, 3, 3, 3}), {}, 1, 1);
            }),
            2.0 * (2 * 5 * 8 * 8) * (3 * 3 * 3));
  const auto q = at::rand({1, 2, 6, 4}), k = at::rand({1, 2, 9, 4});
  EXPECT_EQ(flops_of([&] { at::scaled_dot_product_attention(q, k, k); }), 2 * 2.0 * (2 * 6 * 9 * 4));
  EXPECT_EQ(flops_of([&] { at::rand({4}).add(1); }), 0);
  // The same without numbers.
  const auto frames = at::empty({2, 3, 8, 8}, at::kMeta), kernel = at::empty({5, 3, 3, 3}, at::kMeta);
  EXPECT_EQ(flops_of([&] {
              convolve_2d(frames, kernel, at::empty({5}, at::kMeta), 1, {1, 1});
            }),
            2.0 * (2 * 5 * 8 * 8) * (3 * 3 * 3));
  EXPECT_EQ(flops_of([&] { at::linear(x.to(at::kMeta), weight.to(at::kMeta)); }), 2.0 * 6 * 4 * 10);
}

}  // namespace
}  // namespace t2v
