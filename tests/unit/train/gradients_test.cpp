// The gradients of whole networks against finite differences of their losses.
//
// The networks compute in float32, so the differences are taken with care: each parameter tensor moves along
// a random direction of ones and minus ones, as far as changes the loss by about a thousandth, to both sides.
// The loss itself is summed in float64. What is left are rounding (some 1e-6 of the loss, so 1e-3 of the
// difference) and the third derivative; both stay below two per cent of the gradient's length, while a part
// of a gradient that is missing or doubled shows with its whole share of it.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "golden.h"
#include "models/encoders/t5_encoder.h"
#include "models/wan/wan_transformer.h"
#include "models/wan/wan_vae.h"
#include "parameters.h"
#include "texts.h"
#include "tokens/packed_tokens.h"
#include "train/tasks/reader_task.h"
#include "weights.h"

namespace t2v {
namespace {

using test::tiny_parameters;

using Loss = std::function<at::Tensor(const ParameterSet&)>;  // float64 scalar

at::Tensor squared_error(const at::Tensor& found, int64_t seed) {
  return (found - test::random_normal(found.sizes(), seed)).to(at::kDouble).square().mean();
}

// The gradient of the loss, by parameter; what it does not depend on is left out.
std::map<std::string, at::Tensor> gradients_of(const ParameterSet& parameters, const Loss& loss) {
  loss(parameters).backward();
  std::map<std::string, at::Tensor> gradients;
  for (const auto& parameter : parameters.list()) {
    auto& gradient = parameter.value.mutable_grad();
    if (gradient.defined()) gradients[parameter.name] = gradient.clone();
    gradient = at::Tensor();
  }
  return gradients;
}

// Checks the gradient of every parameter; returns how many have one.
std::size_t expect_gradients(const ParameterSet& parameters, const Loss& loss) {
  const auto gradients = gradients_of(parameters, loss);
  const at::NoGradGuard no_grad;
  const double value = loss(parameters).item<double>();
  double longest = 0;
  for (const auto& [name, gradient] : gradients) longest = std::max(longest, gradient.norm().item<double>());
  int64_t seed = 100;
  for (const auto& [name, held] : parameters.list()) {
    const auto found = gradients.find(name);
    if (found == gradients.end()) continue;
    auto parameter = held.detach();
    const auto direction = test::random_normal(parameter.sizes(), seed++).sign();
    const double length = found->second.norm().item<double>();
    const double size = std::sqrt(parameter.square().mean().item<double>());
    const double step = std::min(1e-3 * value / std::max(length, 1e-30), 0.02 * (size + 0.02));
    const auto before = parameter.clone();
    const auto loss_at = [&](double distance) {
      parameter.copy_(before + distance * direction);
      return loss(parameters).item<double>();
    };
    const double measured = (loss_at(step) - loss_at(-step)) / (2 * step);
    parameter.copy_(before);
    const double expected = (found->second * direction).sum(at::kDouble).item<double>();
    EXPECT_NEAR(measured, expected, 0.02 * length + 1e-4 * longest)
        << name << ", a gradient of length " << length;
  }
  return gradients.size();
}

PackedTokens unlike_clips(PatchSize patch_size) {
  auto tokens = pack(
      {{test::random_normal({16, 3, 4, 6}, 1), {}}, {test::random_normal({16, 1, 4, 4}, 2), {}}}, patch_size);
  set_timesteps(tokens, at::arange(tokens.values.size(0)).to(at::kFloat).remainder(5) * 190 +
                            20);  // several levels in one clip
  return tokens;
}

TEST(Gradients, OfTheWholeTransformer) {
  const auto config = parse_wan_transformer_config(test::tiny_config("transformer"), "config.json");
  const auto parameters = tiny_parameters("transformer", [&](const WeightScope& weights) {
    const WanTransformer network(config, weights, at::kMeta);
  });
  const auto tokens = unlike_clips(config.patch_size);
  const std::vector<TextStates> texts = {{{test::random_normal({3, config.text_dim}, 3)}, 4},
                                         {{test::random_normal({2, config.text_dim}, 5)}, 4}};
  const auto with_gradient = expect_gradients(parameters, [&](const ParameterSet& set) {
    auto weights = set.weights();
    const WanTransformer network(config, weights.root(), at::kCPU);
    return squared_error(network.predict(tokens, *network.prepare(tokens, texts)), 4);
  });
  EXPECT_EQ(with_gradient, parameters.list().size());
}

TEST(Gradients, OfTheWholeBookReader) {
  const BookReaderConfig config{.width = 8};
  const auto parameters = ParameterSet::initialise(reader_shapes(config), 3);
  const auto frames = 0.5 * test::random_normal({2, 3, 9, 48, 56}, 1);
  const auto nouns = at::tensor({5, 70, 12, 100}, at::kLong).view({2, 2});
  const auto with_gradient = expect_gradients(parameters, [&](const ParameterSet& set) {
    auto weights = set.weights();
    const BookReader reader(config, weights.root());
    const auto sight = reader.look(frames);
    // Of one frame: the largest value over several has kinks, which a difference goes across.
    const auto motions = reader.motions(reader.look(frames.slice(2, 0, 1)), nouns);
    return squared_error(sight.nouns / 5, 2) + squared_error(sight.place, 3) +
           squared_error(sight.camera, 4) + squared_error(motions, 5);
  });
  EXPECT_EQ(with_gradient, parameters.list().size());
}

TEST(Gradients, OfRecomputedBlocksHaveTheSameBits) {
  auto config = parse_wan_transformer_config(test::tiny_config("transformer"), "config.json");
  const auto parameters = tiny_parameters("transformer", [&](const WeightScope& weights) {
    const WanTransformer network(config, weights, at::kMeta);
  });
  const auto tokens = unlike_clips(config.patch_size);
  const auto texts = test::random_normal({2, 5, config.text_dim}, 3);
  const auto gradients = [&](bool recompute) {
    config.recompute = recompute;
    return gradients_of(parameters, [&](const ParameterSet& set) {  // the network is gone when backward
                                                                    // begins, as in training
      auto weights = set.weights();
      const WanTransformer network(config, weights.root(), at::kCPU);
      return squared_error(test::predict_with(network, tokens, texts, {0, 1}), 4);
    });
  };
  const auto kept = gradients(false), recomputed = gradients(true);
  EXPECT_EQ(kept.size(), parameters.list().size());
  ASSERT_EQ(recomputed.size(), kept.size());
  for (const auto& [name, gradient] : kept) EXPECT_TRUE(at::equal(recomputed.at(name), gradient)) << name;
}

TEST(Gradients, OfTheWholeTextEncoder) {
  const auto config = parse_umt5_config(test::tiny_config("text_encoder"), "config.json");
  const auto parameters = tiny_parameters(
      "text_encoder", [&](const WeightScope& weights) { const T5Encoder network(config, weights); });
  const auto ids = at::tensor(std::vector<int64_t>{5, 17, 300, 17, 1, 8, 2, 40, 41, 1}).view({2, 5});
  const auto with_gradient = expect_gradients(parameters, [&](const ParameterSet& set) {
    auto weights = set.weights();
    return squared_error(T5Encoder(config, weights.root()).forward(ids), 4);
  });
  EXPECT_EQ(with_gradient, parameters.list().size());
}

TEST(Gradients, OfTheWholeAutoencoder) {
  const auto config = parse_wan_vae_config(test::tiny_config("vae"), "config.json");
  const auto parameters = tiny_parameters(
      "vae", [&](const WeightScope& weights) { const WanVae network(config, weights); });
  const auto frames = test::random_normal({2, 3, 5, 16, 16}, 5).clamp(-1, 1);
  const auto with_gradient = expect_gradients(parameters, [&](const ParameterSet& set) {
    auto weights = set.weights();
    const WanVae vae(config, weights.root());
    const auto posterior = vae.encode_clips(frames);
    return squared_error(vae.decode_clips(posterior.mean), 6) + squared_error(posterior.logvar, 7);
  });
  EXPECT_EQ(with_gradient, parameters.list().size());
}

TEST(Gradients, DoNotLeakBetweenTheClipsOfAPack) {
  const auto config = parse_wan_transformer_config(test::tiny_config("transformer"), "config.json");
  auto weights = test::tiny_weights("transformer");
  const WanTransformer network(config, weights.root(), at::kCPU);
  auto tokens = unlike_clips(config.patch_size);
  tokens.values.requires_grad_(true);
  const auto texts = test::random_normal({2, 5, config.text_dim}, 3).requires_grad_(true);
  test::predict_with(network, tokens, texts, {0, 1})
      .slice(0, 0, tokens.segments[1])
      .square()
      .sum()
      .backward();
  const auto of_values = tokens.values.grad(), of_texts = texts.grad();
  EXPECT_GT(of_values.slice(0, 0, tokens.segments[1]).abs().min().item<float>(), 0);
  EXPECT_EQ(of_values.slice(0, tokens.segments[1]).abs().max().item<float>(), 0);
  EXPECT_GT(of_texts[0].abs().max().item<float>(), 0);
  EXPECT_EQ(of_texts[1].abs().max().item<float>(), 0);
}

// What makes lanes possible: the gradient of a pack is the sum of its clips'.
TEST(Gradients, OfClipsInOnePackOrInTwoAreTheSame) {
  const auto config = parse_wan_transformer_config(test::tiny_config("transformer"), "config.json");
  const auto parameters = tiny_parameters("transformer", [&](const WeightScope& weights) {
    const WanTransformer network(config, weights, at::kMeta);
  });
  const auto texts = test::random_normal({2, 5, config.text_dim}, 3);
  const auto whole = unlike_clips(config.patch_size);
  const auto middle = whole.segments[1];
  const auto part = [&](int64_t begin, int64_t end) {
    auto tokens = whole;
    tokens.values = whole.values.slice(0, begin, end);
    tokens.positions = whole.positions.slice(0, begin, end);
    tokens.level_of_token = whole.level_of_token.slice(0, begin, end);
    tokens.segments = tokens.text_segments = {0, end - begin};
    return tokens;
  };
  const auto gradients = [&](const PackedTokens& tokens, const std::vector<int64_t>& text_of_segment) {
    return gradients_of(parameters, [&](const ParameterSet& set) {
      auto weights = set.weights();
      const WanTransformer network(config, weights.root(), at::kCPU);
      return test::predict_with(network, tokens, texts, text_of_segment).to(at::kDouble).square().sum();
    });
  };
  const auto together = gradients(whole, {0, 1});
  const auto first = gradients(part(0, middle), {0}),
             second = gradients(part(middle, whole.values.size(0)), {1});
  for (const auto& [name, gradient] : together)
    EXPECT_LE(test::relative_error(first.at(name) + second.at(name), gradient), 1e-3) << name;
}

}  // namespace
}  // namespace t2v
