#include "models/cogvideox/cogvideox_transformer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "case_name.h"
#include "errors.h"
#include "golden.h"
#include "texts.h"

namespace t2v {
namespace {

constexpr double cogvideox_limit = 1e-5;  // of the expected tensor's scale

Json transformer_config(const std::string& kind) {
  return read_json(test::golden("cogvideox-" + kind) / "transformer" / "config.json");
}

class CogVideoXTransformerTest : public testing::TestWithParam<const char*> {
 protected:
  CogVideoXTransformerTest() { weights.finish(); }

  // One clip, with the timesteps given, reading one text [L, D].
  at::Tensor predict_alone(const Clip& clip, const at::Tensor& timesteps, const at::Tensor& text) const {
    auto tokens = pack({clip}, config.patch_size);
    set_timesteps(tokens, timesteps);
    return test::predict_with(network, tokens, text.unsqueeze(0), {0});
  }

  CogVideoXTransformerConfig config = parse_cogvideox_transformer_config(transformer_config(GetParam()),
                                                                         "config.json");
  Weights weights = Weights::open(test::golden("cogvideox-" + std::string(GetParam())) / "transformer",
                                  "diffusion_pytorch_model", at::kCPU, at::kFloat);
  CogVideoXTransformer network{config, weights.root()};
};

INSTANTIATE_TEST_SUITE_P(Models, CogVideoXTransformerTest, testing::Values("2b", "5b", "1.5"), test::name_of);

TEST_P(CogVideoXTransformerTest, PacksClipsOfUnlikeSizeAndTimestepAndBothBranchesIntoOneForward) {
  const std::vector<Clip> clips = {{test::random_normal({4, 4, 6, 10}, 1), {}},
                                   {test::random_normal({4, 2, 8, 4}, 2), {}},
                                   {test::random_normal({4, 6, 4, 4}, 3), {}}};
  const auto texts = test::random_normal({4, 9, config.text_embed_dim}, 4);
  const std::vector<int64_t> text_of_segment = {0, 1, 2, 3, 3, 3};  // a prompt each, one negative prompt
  auto tokens = pack(clips, config.patch_size, 2);
  std::vector<at::Tensor> timesteps;
  for (int64_t s = 0; s < 6; ++s) {  // whole clips at one level, and one clip with a level for each token
    const auto count = tokens.segments[static_cast<std::size_t>(s) + 1] -
                       tokens.segments[static_cast<std::size_t>(s)];
    timesteps.push_back(s % 3 == 2 ? at::arange(count).to(at::kFloat) * 17
                                   : at::full({count}, 900.0 - 300 * static_cast<double>(s % 3)));
  }
  set_timesteps(tokens, at::cat(timesteps));
  const auto packed = test::predict_with(network, tokens, texts, text_of_segment);
  for (std::size_t s = 0; s < 6; ++s) {
    const auto alone = predict_alone(clips[s % 3], timesteps[s], texts[text_of_segment[s]]);
    EXPECT_LE(test::relative_error(packed.slice(0, tokens.segments[s], tokens.segments[s + 1]), alone),
              cogvideox_limit)
        << "segment " << s;
  }
}

TEST_P(CogVideoXTransformerTest, ATextHasTheLevelOfTheNoisiestToken) {
  const Clip clip{test::random_normal({4, 2, 4, 6}, 1), {}};
  const auto text = test::random_normal({9, config.text_embed_dim}, 2);
  auto tokens = pack({clip}, config.patch_size);
  const auto count = tokens.segments.back();
  tokens.known = at::arange(count) < 2;
  tokens.level_of_token = tokens.known.to(at::kLong);
  set_timestep(tokens, 800);  // two tokens are known, at timestep 0
  const auto found = test::predict_with(network, tokens, text.unsqueeze(0), {0});
  const auto timesteps = at::full({count}, 800.0).masked_fill(tokens.known, 0);
  EXPECT_LE(test::relative_error(found, predict_alone(clip, timesteps, text)), cogvideox_limit);
  // The text's level goes with one token's, and the other tokens see it (0.035 without that).
  auto levels = at::zeros({count});
  const auto clean = predict_alone(clip, levels, text);
  levels[count - 1] = 1000;
  const auto noisier = predict_alone(clip, levels, text);
  EXPECT_GT(test::relative_error(noisier.slice(0, 0, count - 1), clean.slice(0, 0, count - 1)), 0.05);
}

TEST_P(CogVideoXTransformerTest, TakesOneTextWithItsPaddingForAClip) {
  auto tokens = pack({{test::random_normal({4, 2, 4, 6}, 1), {}}}, config.patch_size);
  const auto states = test::random_normal({9, config.text_embed_dim}, 2);
  test::expect_error(ErrorKind::internal, {"with their padding"}, [&] {
    network.prepare(tokens, {{{states}, 12}});
  });
  tokens.text_segments = {0, 2, tokens.segments.back()};
  tokens.texts = {0, 0};
  test::expect_error(ErrorKind::usage, {"one text"}, [&] { network.prepare(tokens, {{{states}, 9}}); });
}

TEST_P(CogVideoXTransformerTest, GivesTheHiddenStatesHalfwayThrough) {
  auto tokens = pack({{test::random_normal({4, 2, 4, 6}, 1), {}}}, config.patch_size, 2);
  const auto conditioning = network.prepare(
      tokens, test::text_states(test::random_normal({2, 9, config.text_embed_dim}, 2)));
  at::Tensor middle;
  const auto found = network.predict(tokens, *conditioning, &middle);
  EXPECT_TRUE(at::equal(found, network.predict(tokens, *conditioning)));
  EXPECT_EQ(middle.sizes(), (std::vector<int64_t>{tokens.values.size(0), config.width()}));
}

TEST_P(CogVideoXTransformerTest, GivesShapesWithoutWeights) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto meta = Weights::meta(dtype);
    const CogVideoXTransformer shapes(config, meta.root());
    const auto latents = [](int64_t frames, int64_t height, int64_t width) {
      return Clip{at::empty({4, frames, height, width}, at::kMeta), {}};
    };
    for (const auto& clips : {std::vector<Clip>{latents(4, 6, 10)},
                              {latents(4, 6, 10), latents(2, 8, 4)},
                              {latents(2, 4, 4), latents(2, 4, 4)}}) {
      auto tokens = pack(clips, config.patch_size, 2);
      for (const bool levels : {false, true}) {
        if (levels) set_timesteps(tokens, at::empty({tokens.values.size(0)}, at::kMeta));
        const auto found = test::predict_with(
            shapes, tokens, at::empty({tokens.segment_count(), 9, config.text_embed_dim}, at::kMeta),
            tokens.texts);
        EXPECT_TRUE(found.is_meta());
        EXPECT_EQ(found.sizes(), tokens.values.sizes());
        EXPECT_EQ(found.scalar_type(), at::kFloat);
      }
    }
  }
}

TEST_P(CogVideoXTransformerTest, ComputesInBfloat16) {
  auto half = Weights::open(test::golden("cogvideox-" + std::string(GetParam())) / "transformer",
                            "diffusion_pytorch_model", at::kCPU, at::kBFloat16);
  const CogVideoXTransformer narrow(config, half.root());
  auto tokens = pack({{test::random_normal({4, 2, 6, 4}, 1), {}}}, config.patch_size);
  set_timestep(tokens, 400);
  const auto text = test::random_normal({1, 9, config.text_embed_dim}, 2);
  const auto found = test::predict_with(narrow, tokens, text, {0});
  EXPECT_EQ(found.scalar_type(), at::kFloat);
  const double error = test::relative_error(found, test::predict_with(network, tokens, text, {0}));
  EXPECT_LE(error, 0.1);
  EXPECT_GT(error, 1e-4);  // it was not float32
}

TEST(CogVideoXTransformer, RefusesASizeBeyondThePositionsOfASlice) {
  const auto config = parse_cogvideox_transformer_config(transformer_config("1.5"), "config.json");
  EXPECT_EQ(config.longest_axis(), 150);
  auto weights = Weights::open(test::golden("cogvideox-1.5") / "transformer", "diffusion_pytorch_model",
                               at::kCPU, at::kFloat);
  const CogVideoXTransformer network(config, weights.root());
  const auto text = test::text_states(test::random_normal({1, 2, config.text_embed_dim}, 2));
  EXPECT_NO_THROW(network.prepare(pack({{at::zeros({4, 2, 2, 300}), {}}}, config.patch_size), text));
  test::expect_error(ErrorKind::usage, {"151x1 patches", "150x150"}, [&] {
    network.prepare(pack({{at::zeros({4, 2, 2, 302}), {}}}, config.patch_size), text);
  });
}

TEST(ParseCogVideoXTransformerConfig, RefusesWhatIsNotSupportedOrOutOfRange) {
  const std::vector<std::pair<Json, std::vector<std::string>>> cases = {
      {{{"ofs_embed_dim", 512}}, {"'ofs_embed_dim'", "images"}},
      {{{"use_learned_positional_embeddings", true}}, {"'use_learned_positional_embeddings'", "images"}},
      {{{"in_channels", 8}}, {"in_channels 8", "out_channels 4"}},
      {{{"activation_fn", "geglu"}}, {"'activation_fn'", "geglu"}},
      {{{"timestep_activation_fn", "gelu"}}, {"'timestep_activation_fn'"}},
      {{{"flip_sin_to_cos", false}}, {"'flip_sin_to_cos'"}},
      {{{"freq_shift", 1}}, {"'freq_shift'"}},
      {{{"attention_bias", false}}, {"'attention_bias'"}},
      {{{"norm_elementwise_affine", false}}, {"'norm_elementwise_affine'"}},
      {{{"patch_size", 0}}, {"'patch_size'"}},
      {{{"patch_size_t", 4}}, {"'patch_size_t' 4"}},
      {{{"patch_size_t", 2}}, {"patch_size_t", "use_rotary_positional_embeddings"}},
      {{{"num_layers", 1'000'000}}, {"'num_layers'"}},
      {{{"attention_head_dim", 12}}, {"attention_head_dim", "16"}},
      {{{"attention_head_dim", 24}, {"use_rotary_positional_embeddings", true}},
       {"attention_head_dim", "16"}},
      {{{"spatial_interpolation_scale", 0.0}}, {"spatial_interpolation_scale"}},
      {{{"sample_width", 1}}, {"sample_width"}},
      {{{"text_embed_dim", "wide"}}, {"'text_embed_dim'"}},
  };
  for (const auto& [change, parts] : cases) {
    SCOPED_TRACE(change.dump());
    auto config = transformer_config("2b");
    config.update(change);
    auto named = parts;
    named.push_back("transformer/config.json");
    test::expect_error(ErrorKind::bad_input, named,
                       [&] { parse_cogvideox_transformer_config(config, "transformer/config.json"); });
  }
}

}  // namespace
}  // namespace t2v
