#include "models/wan/wan_transformer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "device.h"
#include "errors.h"
#include "golden.h"
#include "texts.h"
#include "weights.h"

namespace t2v {
namespace {

const double wan_limit = test::limit(1e-5);  // of the expected tensor's scale

class WanTransformerTest : public testing::Test {
 protected:
  WanTransformerTest() { weights.finish(); }

  // One clip, with the timesteps given, attending to one text [L, D].
  at::Tensor predict_alone(const Clip& clip, const at::Tensor& timesteps, const at::Tensor& text) const {
    auto tokens = pack({clip}, config.patch_size);
    set_timesteps(tokens, timesteps);
    return test::predict_with(network, tokens, text.unsqueeze(0), {0});
  }

  WanTransformerConfig config = parse_wan_transformer_config(test::tiny_config("transformer"), "config.json");
  Weights weights = test::tiny_weights("transformer");
  WanTransformer network{config, weights.root(), test::device()};
};

TEST_F(WanTransformerTest, PacksClipsOfUnlikeSizeAndTimestepAndBothBranchesIntoOneForward) {
  const std::vector<Clip> clips = {{test::random_here({16, 3, 6, 10}, 1), {}},
                                   {test::random_here({16, 1, 8, 4}, 2), {}},
                                   {test::random_here({16, 5, 4, 4}, 3), {}}};
  const auto texts = test::random_here({4, 9, config.text_dim}, 4);
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
              wan_limit)
        << "segment " << s;
  }
}

TEST_F(WanTransformerTest, PacksClipsOfEqualSizeAsABatch) {
  const std::vector<Clip> clips = {{test::random_here({16, 2, 4, 6}, 1), {}},
                                   {test::random_here({16, 2, 4, 6}, 2), {}}};
  const auto texts = test::random_here({2, 9, config.text_dim}, 3);
  for (const auto& text_of_segment : {std::vector<int64_t>{0, 1}, {1, 0}, {1, 1}}) {
    auto tokens = pack(clips, config.patch_size);
    set_timestep(tokens, 500);
    const auto packed = test::predict_with(network, tokens, texts, text_of_segment);
    for (std::size_t s = 0; s < 2; ++s)
      EXPECT_LE(
          test::relative_error(packed.slice(0, tokens.segments[s], tokens.segments[s + 1]),
                               predict_alone(clips[s], at::full({12}, 500.0), texts[text_of_segment[s]])),
          wan_limit);
  }
}

TEST_F(WanTransformerTest, PadsTextsWithZeros) {
  const auto latents = test::random_here({16, 2, 4, 6}, 1);
  auto tokens = pack({{latents, {}}, {latents, {}}}, config.patch_size);
  set_timestep(tokens, 500);
  const auto states = test::random_here({3, config.text_dim}, 2);
  const std::vector<TextStates> texts = {{{states}, 9}, {{states.slice(0, 0, 2)}, 9}};
  const auto found = network.predict(tokens, *network.prepare(tokens, texts));
  for (int64_t s = 0; s < 2; ++s) {
    const auto padded = at::constant_pad_nd(states.slice(0, 0, 3 - s), {0, 0, 0, 6 + s});
    EXPECT_LE(test::relative_error(found.slice(0, 12 * s, 12 * s + 12),
                                   predict_alone({latents, {}}, at::full({12}, 500.0), padded)),
              wan_limit);
  }
}

TEST_F(WanTransformerTest, AClipMayReadOneTextAfterAnother) {
  const auto latents = test::random_here({16, 3, 4, 6}, 1);
  auto tokens = pack({{latents, {}}}, config.patch_size);
  set_timestep(tokens, 500);
  const auto texts = test::random_here({2, 9, config.text_dim}, 2);
  const auto with_texts = [&](std::vector<int64_t> segments, std::vector<int64_t> read) {
    tokens.text_segments = std::move(segments);
    return test::predict_with(network, tokens, texts, std::move(read));
  };
  const auto one = with_texts({0, 18}, {0});
  EXPECT_LE(test::relative_error(with_texts({0, 6, 18}, {0, 0}), one), wan_limit);
  EXPECT_GT(test::relative_error(with_texts({0, 6, 18}, {0, 1}), one), 0.001);
}

TEST_F(WanTransformerTest, ReadsTheTimestepOfEveryToken) {
  const Clip clip{test::random_here({16, 2, 4, 6}, 1), {}};
  const auto text = test::random_here({9, config.text_dim}, 2);
  const auto even = predict_alone(clip, at::full({12}, 500.0), text);
  auto timesteps = at::full({12}, 500.0);
  timesteps[3] = 0;
  EXPECT_GT(test::relative_error(predict_alone(clip, timesteps, text), even), 0.01);
}

TEST_F(WanTransformerTest, RefusesAClipBeyondItsPositions) {
  auto tokens = pack({{test::random_here({16, 1, 2, 2}, 1), {}}}, config.patch_size);
  tokens.extent.w = 1025;
  test::expect_error(ErrorKind::usage, {"1025 patches"}, [&] {
    network.prepare(tokens, test::text_states(test::random_here({1, 2, config.text_dim}, 2)));
  });
}

TEST(WanTransformerMeta, GivesShapesWithoutWeights) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto config = parse_wan_transformer_config(test::tiny_config("transformer"), "config.json");
    auto weights = Weights::meta(dtype);
    const WanTransformer network(config, weights.root(), at::kMeta);
    const auto latents = [](int64_t frames, int64_t height, int64_t width) {
      return Clip{at::empty({16, frames, height, width}, at::kMeta), {}};
    };
    for (const auto& clips : {std::vector<Clip>{latents(3, 6, 10)},
                              {latents(3, 6, 10), latents(1, 8, 4)},
                              {latents(2, 4, 4), latents(2, 4, 4)}}) {
      const auto tokens = pack(clips, config.patch_size, 2);
      std::vector<int64_t> text_of_segment;
      for (int64_t s = 0; s < tokens.segment_count(); ++s) text_of_segment.push_back(s % 2);
      const auto found = test::predict_with(network, tokens, at::empty({2, 9, config.text_dim}, at::kMeta),
                                            text_of_segment);
      EXPECT_TRUE(found.is_meta());
      EXPECT_EQ(found.sizes(), tokens.values.sizes());
      EXPECT_EQ(found.scalar_type(), at::kFloat);
    }
  }
}

TEST(WanTransformerMeta, ReadsPicturesWithoutWeights) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto json = test::tiny_config("transformer");
    json.update(
        {{"in_channels", 36}, {"image_dim", 40}, {"added_kv_proj_dim", 60}, {"pos_embed_seq_len", 10}});
    const auto config = parse_wan_transformer_config(json, "config.json");
    auto weights = Weights::meta(dtype);
    const WanTransformer network(config, weights.root(), at::kMeta);
    Clip clip{at::empty({16, 3, 6, 10}, at::kMeta),
              {},
              at::empty({20, 3, 6, 10}, at::kMeta),
              at::empty({10, 40}, at::kMeta)};
    const auto tokens = pack({clip, clip}, config.patch_size, 2);
    const auto found = test::predict_with(network, tokens, at::empty({2, 9, config.text_dim}, at::kMeta),
                                          {0, 0, 1, 1});
    EXPECT_TRUE(found.is_meta());
    EXPECT_EQ(found.sizes(), tokens.values.sizes());
  }
}

TEST(WanTransformerMeta, HasAControlBranchWithoutWeights) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto json = test::tiny_config("transformer");
    json.update({{"vace_layers", {0, 2}}, {"vace_in_channels", 96}});
    const auto config = parse_wan_transformer_config(json, "config.json");
    auto weights = Weights::meta(dtype);
    const WanTransformer network(config, weights.root(), at::kMeta);
    const Clip clip{at::empty({16, 3, 6, 10}, at::kMeta), {}, at::empty({96, 3, 6, 10}, at::kMeta)};
    const auto tokens = pack({clip}, config.patch_size, 2);
    const auto found = test::predict_with(network, tokens, at::empty({2, 9, config.text_dim}, at::kMeta),
                                          {0, 1});
    EXPECT_TRUE(found.is_meta());
    EXPECT_EQ(found.sizes(), tokens.values.sizes());
  }
}

TEST(WanTransformerMeta, IsToldTheFrameRateWithoutWeights) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto json = test::tiny_config("transformer");
    json["inject_sample_info"] = true;
    const auto config = parse_wan_transformer_config(json, "config.json");
    auto weights = Weights::meta(dtype);
    const WanTransformer network(config, weights.root(), at::kMeta);
    const auto tokens = pack({{at::empty({16, 3, 6, 10}, at::kMeta), {}}}, config.patch_size, 2);
    const auto found = test::predict_with(network, tokens, at::empty({2, 9, config.text_dim}, at::kMeta),
                                          {0, 1});
    EXPECT_TRUE(found.is_meta());
    EXPECT_EQ(found.sizes(), tokens.values.sizes());
    EXPECT_EQ(found.scalar_type(), at::kFloat);
  }
}

TEST(WanTransformerMeta, AsksForExactlyTheCheckpointsTensors) {
  for (const std::string model : {"wan-tiny", "skyreels-df"}) {
    const auto folder = test::golden(model) / "transformer";
    const auto config = parse_wan_transformer_config(read_json(folder / "config.json"), "config.json");
    auto weights = Weights::meta();
    const WanTransformer network(config, weights.root(), at::kMeta);
    const auto file = SafetensorsFile::open(folder / "diffusion_pytorch_model.safetensors");
    EXPECT_EQ(weights.asked().size(), file->entries().size());
    for (const auto& [name, shape] : weights.asked()) {
      ASSERT_TRUE(file->entries().contains(name)) << name;
      EXPECT_EQ(file->entries().at(name).shape, shape) << name;
    }
  }
}

TEST(ParseWanTransformerConfig, RefusesWhatIsNotSupportedOrOutOfRange) {
  const std::vector<std::pair<Json, std::vector<std::string>>> cases = {
      {{{"image_dim", 1280}}, {"added_kv_proj_dim", "60", "found 0"}},
      {{{"image_dim", 1280}, {"added_kv_proj_dim", 5120}}, {"added_kv_proj_dim", "60", "found 5120"}},
      {{{"added_kv_proj_dim", 5120}}, {"added_kv_proj_dim", "null", "found 5120"}},
      {{{"pos_embed_seq_len", 514}}, {"pos_embed_seq_len", "image_dim"}},
      {{{"qk_norm", "layer_norm"}}, {"qk_norm", "layer_norm"}},
      {{{"num_frame_per_block", 5}}, {"num_frame_per_block 5", "set it to 1"}},
      {{{"patch_size", {1, 2}}}, {"patch_size"}},
      {{{"patch_size", {1, 0, 2}}}, {"patch_size"}},
      {{{"patch_size", {1, 2, 65}}}, {"patch_size"}},
      {{{"num_layers", 0}}, {"'num_layers'"}},
      {{{"num_layers", 1'000'000}}, {"'num_layers'"}},
      {{{"attention_head_dim", 21}}, {"attention_head_dim"}},
      {{{"attention_head_dim", 4}}, {"attention_head_dim"}},
      {{{"text_dim", "wide"}}, {"'text_dim'"}},
      {{{"ffn_dim", 1.5}}, {"'ffn_dim'"}},
  };
  for (const auto& [change, parts] : cases) {
    SCOPED_TRACE(change.dump());
    auto config = test::tiny_config("transformer");
    config.update(change);
    auto named = parts;
    named.push_back("transformer/config.json");
    test::expect_error(ErrorKind::bad_input, named,
                       [&] { parse_wan_transformer_config(config, "transformer/config.json"); });
  }
}

}  // namespace
}  // namespace t2v
