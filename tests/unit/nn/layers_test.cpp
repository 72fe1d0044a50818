// The layers against plain formulas.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "device.h"
#include "errors.h"
#include "golden.h"
#include "nn/attention.h"
#include "nn/causal_conv.h"
#include "nn/linear.h"
#include "nn/modulation.h"
#include "nn/rotary.h"
#include "nn/timestep_embedding.h"
#include "weights.h"

namespace t2v {
namespace {

const double layer_limit = test::limit(1e-5);  // of the expected tensor's scale

// softmax(q·kᵀ / sqrt(d))·v in float64; q [Lq, heads, d], k and v [Lk, heads, d] → [Lq, heads·d].
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble).transpose(0, 1); };  // [heads, L, d]
  const auto scores = at::matmul(wide(q), wide(k).transpose(1, 2)) /
                      std::sqrt(static_cast<double>(q.size(2)));
  return at::matmul(at::softmax(scores, -1), wide(v)).transpose(0, 1).flatten(1);
}

TEST(SegmentSelfAttention, IsPlainAttentionWithinEachSegment) {
  for (const auto& segments : {std::vector<int64_t>{0, 12}, {0, 4, 8, 12}, {0, 3, 4, 12}, {0, 6, 12}}) {
    const auto q = test::random_here({12, 2, 8}, 1);
    const auto k = test::random_here({12, 2, 8}, 2);
    const auto v = test::random_here({12, 2, 8}, 3);
    std::vector<at::Tensor> expected;
    for (std::size_t s = 0; s + 1 < segments.size(); ++s) {
      const auto part = [&](const at::Tensor& x) { return x.slice(0, segments[s], segments[s + 1]); };
      expected.push_back(plain_attention(part(q), part(k), part(v)));
    }
    EXPECT_LE(test::relative_error(segment_self_attention(q, k, v, segments), at::cat(expected)),
              layer_limit);
  }
}

TEST(SegmentCrossAttention, GivesEachSegmentItsText) {
  const KeyValues text{test::random_here({2, 2, 5, 8}, 1), test::random_here({2, 2, 5, 8}, 2)};
  const auto q = test::random_here({12, 2, 8}, 3);
  struct Case {
    std::vector<int64_t> segments, text_of_segment;
  };
  for (const auto& [segments, texts] :
       {Case{{0, 6, 12}, {0, 1}}, Case{{0, 6, 12}, {1, 0}}, Case{{0, 4, 8, 12}, {1, 1, 0}},
        Case{{0, 1, 12}, {1, 0}}, Case{{0, 3, 4, 12}, {0, 1, 0}}}) {
    std::vector<at::Tensor> expected;
    for (std::size_t s = 0; s + 1 < segments.size(); ++s)
      expected.push_back(plain_attention(q.slice(0, segments[s], segments[s + 1]),
                                         text.keys[texts[s]].transpose(0, 1),
                                         text.values[texts[s]].transpose(0, 1)));
    const auto of_segments = test::here(at::tensor(texts));
    const KeyValues given{text.keys.index_select(0, of_segments), text.values.index_select(0, of_segments)};
    EXPECT_LE(test::relative_error(segment_cross_attention(q, given, segments), at::cat(expected)),
              layer_limit);
  }
}

TEST(CausalConv3d, IsA3dConvolutionPrecededByZeroFrames) {
  const auto weight = test::random_here({5, 3, 3, 3, 3}, 1);
  const auto bias = test::random_here({5}, 2);
  auto weights = test::weights_of({{"weight", weight}, {"bias", bias}});
  const CausalConv3d conv(weights.root(), 3, 5, {3, 3, 3});
  const auto x = test::random_here({7, 3, 4, 6}, 3);
  const auto padded = at::constant_pad_nd(x.transpose(0, 1).unsqueeze(0), {1, 1, 1, 1, 2, 0});
  const auto expected = at::conv3d(padded, weight, bias)[0].transpose(0, 1);
  ConvCache whole;
  EXPECT_LE(test::relative_error(conv.forward(x, whole), expected), layer_limit);
  for (const int64_t chunk : {1, 2, 3}) {
    ConvCache cache;
    std::vector<at::Tensor> parts;
    for (int64_t begin = 0; begin < 7; begin += chunk)
      parts.push_back(conv.forward(x.slice(0, begin, begin + chunk), cache));
    EXPECT_LE(test::relative_error(at::cat(parts), expected), layer_limit) << chunk;
    EXPECT_EQ(cache.frames.size(0), 2);
  }
}

TEST(CausalConv3d, StridedTakesEverySecondFrame) {
  const auto weight = test::random_here({5, 3, 3, 1, 1}, 1);
  const auto bias = test::random_here({5}, 2);
  auto weights = test::weights_of({{"weight", weight}, {"bias", bias}});
  const CausalConv3d conv(weights.root(), 3, 5, {3, 1, 1});
  const auto x = test::random_here({9, 3, 4, 6}, 3);
  const auto expected = at::conv3d(x.transpose(0, 1).unsqueeze(0), weight, bias, at::IntArrayRef{2, 1, 1})[0]
                            .transpose(0, 1);
  EXPECT_LE(test::relative_error(conv.forward_strided(x, 1), expected), layer_limit);
}

TEST(ModulatedLayerNorm, DoesTheSameForOneLevelAndForALevelPerToken) {
  const auto x = test::random_here({6, 10}, 1) * 3 + 1;
  const auto shift = test::random_here({1, 10}, 2);
  const auto scale = test::random_here({1, 10}, 3);
  const auto wide = x.to(at::kDouble);
  const auto normed = (wide - wide.mean(-1, true)) / at::sqrt(wide.var(-1, false, true) + 1e-6);
  const auto expected = normed * (scale.to(at::kDouble) + 1) + shift.to(at::kDouble);
  EXPECT_LE(test::relative_error(modulated_layer_norm(x, {shift, scale, {}, {}}, 1e-6), expected),
            layer_limit);
  EXPECT_LE(
      test::relative_error(
          modulated_layer_norm(x, {shift.repeat({6, 1}), scale.repeat({6, 1}), {}, {}}, 1e-6), expected),
      layer_limit);
}

TEST(GatedResidual, AddsInFloat32AndKeepsTheDtype) {
  const auto x = test::random_here({4, 3}, 1).to(at::kBFloat16);
  const auto y = test::random_here({4, 3}, 2).to(at::kBFloat16);
  const auto gate = test::random_here({1, 3}, 3);
  const auto found = gated_residual(x, y, {{}, {}, gate, {}});
  EXPECT_EQ(found.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(found, (x.to(at::kFloat) + y.to(at::kFloat) * gate).to(at::kBFloat16)));
}

TEST(LayerNormFloat32, NormalisesWithItsWeights) {
  const auto x = test::random_here({6, 10}, 1);
  const auto weight = test::random_here({10}, 2);
  const auto bias = test::random_here({10}, 3);
  const auto wide = x.to(at::kDouble);
  const auto expected = (wide - wide.mean(-1, true)) / at::sqrt(wide.var(-1, false, true) + 1e-6) * weight +
                        bias;
  EXPECT_LE(test::relative_error(layer_norm_float32(x, weight, bias, 1e-6), expected), layer_limit);
}

TEST(Linear, JoinedLayersGiveTheirOutputsSideBySide) {
  const Linear a{test::random_here({3, 4}, 1), test::random_here({3}, 2)};
  const Linear b{test::random_here({5, 4}, 3), test::random_here({5}, 4)};
  const auto x = test::random_here({2, 4}, 5);
  EXPECT_LE(test::relative_error(Linear::join({a, b})(x), at::cat({a(x), b(x)}, 1)), layer_limit);
}

// Rows of blocks, all of them different: [rows, 64] of Q8_0, expanded to `dtype`.
PackedMatrix random_blocks(int64_t rows, int64_t seed, at::ScalarType dtype) {
  const auto& formats = block_formats();
  const auto& format = *std::find_if(formats.begin(), formats.end(),
                                     [](const auto& one) { return std::string(one.name) == "Q8_0"; });
  at::manual_seed(static_cast<uint64_t>(seed));
  auto bytes = at::randint(256, {rows * 2, format.bytes}, at::TensorOptions(at::kByte));
  bytes.narrow(1, 0, 2).view(at::kHalf).fill_(0.01);
  return {&format, rows, 64, bytes.view({rows, -1}), dtype};
}

TEST(Linear, PackedWeightsGiveTheBitsOfTheirNumbers) {
  const auto bias = test::random_here({6}, 1), x = test::random_here({3, 64}, 2);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto blocks = random_blocks(6, 3, dtype);
    const auto numbers = expand({blocks}, test::device());
    EXPECT_EQ(numbers.scalar_type(), dtype);
    const Linear packed(blocks, bias.to(dtype)), dense(numbers, bias.to(dtype));
    EXPECT_TRUE(at::equal(packed(x), dense(x)));
    const auto joined = [&](const Linear& layer) { return Linear::join({layer, dense, layer})(x); };
    EXPECT_TRUE(at::equal(joined(packed), joined(dense)));
    const auto turned = [&](const Linear& layer) { return layer.with_outputs_transposed(2, 3)(x); };
    EXPECT_TRUE(at::equal(turned(packed), turned(dense)));
    EXPECT_LE(test::relative_error(turned(dense), dense(x).view({3, 2, 3}).transpose(1, 2).reshape({3, 6})),
              dtype == at::kFloat ? layer_limit : 1e-2);
    const auto index = test::here(at::tensor({5, 0, 5, 2})).view({2, 2});
    EXPECT_TRUE(at::equal(Linear(blocks, {}).rows(index), Linear(numbers, {}).rows(index)));
    EXPECT_TRUE(at::equal(Linear(blocks, {})(x), Linear(numbers, {})(x)));
  }
}

TEST(Linear, ProductsInBFloat16AreExactWhereBFloat16Is) {
  // Small whole numbers and their sums are bfloat16's without rounding; a bias of 1/1024 beside them is not.
  const auto whole = [](at::IntArrayRef shape, int64_t seed) {
    return test::random_here(shape, seed).clamp(-2, 2).round();
  };
  for (const int64_t rows : {1, 128, 130}) {
    const auto x = whole({rows, 6}, 1).requires_grad_(true), weight = whole({5, 6}, 2).requires_grad_(true);
    const auto bias = (whole({5}, 3) + 1.0 / 1024).requires_grad_(true);
    const auto grad = whole({rows, 5}, 4);
    const auto run = [&](at::ScalarType products) {
      const auto y = Linear{weight.to(products), bias}(x);
      EXPECT_EQ(y.scalar_type(), at::kFloat);
      y.backward(grad);
      std::vector<at::Tensor> found = {y.detach()};
      for (const auto* leaf : {&x, &weight, &bias}) {
        found.push_back(leaf->grad().clone());
        leaf->mutable_grad() = at::Tensor();
      }
      return found;
    };
    const auto expected = run(at::kFloat), found = run(at::kBFloat16);
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_TRUE(found[i].equal(expected[i])) << rows << " rows, " << i;
  }
}

TEST(Rotary, TurnsEachPairByPositionTimesFrequency) {
  const int64_t head_dim = 20;  // time 8, height 6, width 6
  const Rotary rotary(head_dim, 16, test::device());
  const auto x = test::random_here({1, 2, head_dim}, 1);
  const std::vector<int64_t> position = {3, 11, 7};
  const auto found = apply_rotary(x, rotary.at_positions(test::here(at::tensor(position)).view({1, 3}), 12));
  const std::vector<int64_t> dims = {8, 6, 6};
  int64_t pair = 0;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    for (int64_t i = 0; i < dims[axis] / 2; ++i, ++pair) {
      const double angle = static_cast<double>(position[axis]) *
                           std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(dims[axis]));
      for (int64_t head = 0; head < 2; ++head) {
        const auto value = [&](const at::Tensor& tensor, int64_t k) {
          return tensor[0][head][2 * pair + k].item<double>();
        };
        EXPECT_NEAR(value(found, 0), value(x, 0) * std::cos(angle) - value(x, 1) * std::sin(angle), 1e-5);
        EXPECT_NEAR(value(found, 1), value(x, 0) * std::sin(angle) + value(x, 1) * std::cos(angle), 1e-5);
      }
    }
  }
}

TEST(Rotary, RefusesAPositionBeyondItsTable) {
  const Rotary rotary(20, 16, test::device());
  EXPECT_NO_THROW(
      rotary.at_positions(test::here(at::tensor(std::vector<int64_t>{15, 15, 15})).view({1, 3}), 16));
  test::expect_error(ErrorKind::usage, {"17 patches", "ends at 16"}, [&] {
    rotary.at_positions(test::here(at::tensor(std::vector<int64_t>{0, 16, 0})).view({1, 3}), 17);
  });
}

TEST(TimestepEmbedding, PutsCosinesBeforeSines) {
  const auto embedding = timestep_embedding(test::here(at::tensor({0.0F, 875.0F})), 8);
  for (int64_t i = 0; i < 4; ++i) {
    const double angle = 875 * std::exp(-std::log(10000.0) * static_cast<double>(i) / 4);
    EXPECT_NEAR(embedding[1][i].item<double>(), std::cos(angle), 1e-4);
    EXPECT_NEAR(embedding[1][i + 4].item<double>(), std::sin(angle), 1e-4);
    EXPECT_EQ(embedding[0][i].item<double>(), 1);
    EXPECT_EQ(embedding[0][i + 4].item<double>(), 0);
  }
  EXPECT_EQ(timestep_embedding(test::here(at::tensor({5.0F})), 7).sizes(), (std::vector<int64_t>{1, 7}));
}

}  // namespace
}  // namespace t2v
