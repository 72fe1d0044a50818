// The fused operations against the same composed from ATen's operations in float64: values and every
// gradient.
#include "nn/fused.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "golden.h"

namespace t2v {
namespace {

constexpr double fused_limit = 2e-5;

at::Tensor leaf(const at::Tensor& x) { return x.detach().clone().requires_grad_(true); }
at::Tensor wide_leaf(const at::Tensor& x) { return x.detach().to(at::kDouble).requires_grad_(true); }

// Both must agree in value and, for random weights on the outputs, in the gradients of all inputs.
void expect_same(const at::Tensor& found, const at::Tensor& expected, const std::vector<at::Tensor>& inputs,
                 const std::vector<at::Tensor>& wide_inputs) {
  EXPECT_LE(test::relative_error(found, expected), fused_limit);
  const auto weights = test::random_normal(found.sizes(), 99);
  (found * weights).sum().backward();
  (expected * weights.to(at::kDouble)).sum().backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(inputs[i].grad().defined()) << i;
    EXPECT_LE(test::relative_error(inputs[i].grad(), wide_inputs[i].grad()), fused_limit) << "input " << i;
  }
}

// {shift, scale or gate rows, which row is whose}: one for all, one each, and an index.
struct RowCase {
  int64_t rows;
  at::Tensor index;
};
std::vector<RowCase> row_cases() {
  return {{1, {}}, {7, {}}, {3, at::tensor({0, 2, 1, 1, 0, 2, 2}, at::kLong)}};
}

at::Tensor spread(const at::Tensor& rows, const at::Tensor& index) {
  return index.defined() ? rows.index_select(0, index) : rows;
}

TEST(Fused, ModulatedLayerNormIsTheComposedOne) {
  for (const int64_t width : {5, 16, 37}) {
    for (const auto& [rows, index] : row_cases()) {
      const auto x = leaf(test::random_normal({7, width}, 1) * 2 + 1),
                 shift = leaf(test::random_normal({rows, width}, 2)),
                 scale = leaf(test::random_normal({rows, width}, 3));
      const auto wx = wide_leaf(x), wshift = wide_leaf(shift), wscale = wide_leaf(scale);
      const auto expected = at::layer_norm(wx, {width}, {}, {}, 1e-6) * (spread(wscale, index) + 1) +
                            spread(wshift, index);
      expect_same(fused::modulated_layer_norm(x, shift, scale, index, 1e-6), expected, {x, shift, scale},
                  {wx, wshift, wscale});
    }
  }
}

TEST(Fused, GatedResidualIsTheComposedOne) {
  for (const auto& [rows, index] : row_cases()) {
    const auto x = leaf(test::random_normal({7, 19}, 1)), h = leaf(test::random_normal({7, 19}, 2)),
               gate = leaf(test::random_normal({rows, 19}, 3));
    const auto wx = wide_leaf(x), wh = wide_leaf(h), wgate = wide_leaf(gate);
    expect_same(fused::gated_residual(x, h, gate, index), wx + wh * spread(wgate, index), {x, h, gate},
                {wx, wh, wgate});
  }
}

TEST(Fused, RmsNormIsTheComposedOne) {
  const auto x = leaf(test::random_normal({2, 3, 21}, 1)), weight = leaf(test::random_normal({21}, 2));
  const auto wx = wide_leaf(x), wweight = wide_leaf(weight);
  expect_same(fused::rms_norm(x, weight, 1e-6), wx * at::rsqrt(wx.square().mean(-1, true) + 1e-6) * wweight,
              {x, weight}, {wx, wweight});
}

TEST(Fused, QueriesAndKeysAreNormedAndTurned) {
  const int64_t heads = 2, head_dim = 6, width = heads * head_dim, n = 5;
  const auto qkv = leaf(test::random_normal({n, 3 * width}, 1)),
             weight = leaf(test::random_normal({2, width}, 2));
  const auto angles = test::random_normal({n, head_dim / 2}, 3);
  const auto rotary = at::complex(angles.cos(), angles.sin());
  const auto wqkv = wide_leaf(qkv), wweight = wide_leaf(weight);
  std::vector<at::Tensor> expected;
  for (int64_t part = 0; part < 2; ++part) {
    const auto raw = wqkv.narrow(1, part * width, width);
    const auto normed = (raw * at::rsqrt(raw.square().mean(-1, true) + 1e-6) * wweight[part])
                            .view({n, heads, head_dim / 2, 2});
    const auto a = normed.select(3, 0), b = normed.select(3, 1);
    const auto c = angles.to(at::kDouble).cos().unsqueeze(1), s = angles.to(at::kDouble).sin().unsqueeze(1);
    expected.push_back(at::stack({a * c - b * s, a * s + b * c}, 3).reshape({n, width}));
  }
  expected.push_back(wqkv.narrow(1, 2 * width, width));
  const auto found = fused::normed_rotated_qkv(qkv, weight, rotary, 1e-6);
  expect_same(at::cat({found.query, found.key, found.value}, 1), at::cat(expected, 1), {qkv, weight},
              {wqkv, wweight});
}

TEST(Fused, ChannelNormSiluIsTheComposedOne) {
  const auto x = leaf((test::random_normal({2, 9, 3, 4}, 1) * 3).contiguous(at::MemoryFormat::ChannelsLast)),
             gamma = leaf(test::random_normal({9}, 2));
  const auto wx = wide_leaf(x), wgamma = wide_leaf(gamma);
  const auto normed = wx / wx.square().sum(1, true).sqrt() * 3.0 * wgamma.view({1, -1, 1, 1});
  expect_same(fused::channel_norm_silu(x, gamma), at::silu(normed), {x, gamma}, {wx, wgamma});
}

TEST(Fused, GeluTanhIsTheComposedOne) {
  const auto x = leaf(at::cat({test::random_normal({7, 19}, 1) * 4,
                               at::tensor({-60.0F, -9.0F, -0.0F, 0.0F, 1e-20F, 9.0F, 60.0F}).view({7, 1})},
                              1));
  const auto wx = wide_leaf(x);
  expect_same(fused::gelu_tanh(x), at::gelu(wx, "tanh"), {x}, {wx});
}

TEST(Fused, NaNIsPassedOn) {
  auto x = test::random_normal({3, 8}, 1);
  x[1][2] = std::numeric_limits<float>::quiet_NaN();
  const auto zero = at::zeros({1, 8});
  EXPECT_TRUE(fused::modulated_layer_norm(x, zero, zero, {}, 1e-6)[1].isnan().all().item<bool>());
  EXPECT_FALSE(fused::modulated_layer_norm(x, zero, zero, {}, 1e-6)[0].isnan().any().item<bool>());
  EXPECT_TRUE(fused::rms_norm(x, at::ones({8}), 1e-6)[1].isnan().all().item<bool>());
  EXPECT_TRUE(fused::channel_norm_silu(x.view({3, 8, 1, 1}), at::ones({8}))[1].isnan().any().item<bool>());
  EXPECT_TRUE(fused::gelu_tanh(x)[1][2].isnan().item<bool>());
}

}  // namespace
}  // namespace t2v
