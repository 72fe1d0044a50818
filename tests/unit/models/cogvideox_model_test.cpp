#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "case_name.h"
#include "errors.h"
#include "golden.h"
#include "models/model.h"

namespace t2v {
namespace {

std::unique_ptr<Model> open_kind(const std::string& kind) {
  return open_model(open_model_folder(test::golden("cogvideox-" + kind)));
}

// The 2B's folder with other values in one component's config.
std::unique_ptr<Model> open_changed(const std::string& component, const Json& change) {
  auto folder = open_model_folder(test::golden("cogvideox-2b"));
  auto config = folder.config(component);
  config.update(change);
  folder.given_configs[component] = {config, component + "/config.json"};
  return open_model(std::move(folder));
}

class CogVideoXModelTest : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, CogVideoXModelTest, testing::Values("2b", "5b", "1.5"), test::name_of);

TEST_P(CogVideoXModelTest, TakesAllWeightsOfEachComponent) {
  const auto model = open_kind(GetParam());
  EXPECT_NO_THROW(load_text(*model, model->load_tokenizer(), {}));
  EXPECT_NO_THROW(load_denoiser(*model, {}));
  EXPECT_NO_THROW(load_vae(*model, {}));
  EXPECT_EQ(load_denoiser(*model, {})->patch_size().volume(), model->patch_size().volume());
}

TEST_P(CogVideoXModelTest, HasTheDefaultsOfItsPipeline) {
  const auto model = open_kind(GetParam());
  const auto settings = model->defaults().settings;
  const bool is_1_5 = std::string(GetParam()) == "1.5";
  const int64_t frames_made = is_1_5 ? 81 : 49, width = is_1_5 ? 1360 : 720, height = is_1_5 ? 768 : 480;
  EXPECT_EQ(settings, (Json{{"width", width},
                            {"height", height},
                            {"frames", frames_made},
                            {"fps", is_1_5 ? 16 : 8},
                            {"steps", 50},
                            {"guidance_scale", 6.0}}));
  EXPECT_EQ(*model->defaults().max_text_tokens, 226);
  EXPECT_EQ(model->clean("  two\n  spaces &amp; "), "  two\n  spaces &amp; ");
  // The default clip divides into patches, also where patches are of two latent frames.
  const auto shape = model->vae().latent_shape(frames_made, width, height);
  EXPECT_EQ(shape[1], is_1_5 ? 22 : 13);
  EXPECT_EQ(model->vae().frames(shape[1]), frames_made);
  // The reference would decode an even number of latent frames to three frames more.
  for (const int64_t frames : {5, 13, 85})
    test::expect_error(ErrorKind::usage, {"1 + 8·k frames", std::to_string(frames)},
                       [&] { model->vae().latent_shape(frames, 64, 64); });
  const auto grid = token_grid(shape, model->patch_size());
  EXPECT_LE(std::max({grid.t, grid.h, grid.w}), model->longest_axis());
}

TEST(CogVideoXModel, EncodesPromptsWithTheirPadding) {
  const auto golden = test::open_golden("cogvideox-2b.safetensors");
  const auto model = open_kind("2b");
  const auto texts = load_text(*model, model->load_tokenizer(), {});
  const char* prompts[] = {"", "a red circle bouncing on a navy background"};
  for (int64_t i = 0; i < 2; ++i) {
    const auto found = texts->encode(prompts[i]);
    EXPECT_EQ(found.length, 226);
    EXPECT_LE(test::relative_error(found.states.front().unsqueeze(0),
                                   golden->tensor("text." + std::to_string(i) + ".prompt_embeds")),
              1e-4);
  }
}

TEST(CogVideoXModel, RefusesConfigsThatContradictEachOther) {
  test::expect_error(ErrorKind::bad_input, {"text_embed_dim 48", "d_model 40", "transformer"}, [] {
    open_changed("transformer", {{"text_embed_dim", 48}});
  });
  test::expect_error(ErrorKind::bad_input, {"in_channels 4", "latent_channels 8", "transformer"}, [] {
    open_changed("vae", {{"latent_channels", 8}});
  });
  test::expect_error(ErrorKind::bad_input, {"vocab_size", "tokenizer"}, [] {
    open_changed("text_encoder", {{"vocab_size", 100}})->load_tokenizer();
  });
}

TEST(CogVideoXModel, IsNotTrained) {
  const auto model = open_kind("5b");
  test::expect_error(ErrorKind::bad_input, {"cogvideox-5b", "cannot be trained"},
                     [&] { model->adapt_denoiser(*model, {}); });
  test::expect_error(ErrorKind::bad_input, {"cogvideox-5b", "cannot be trained"},
                     [&] { model->adapt_vae(*model, {}); });
}

}  // namespace
}  // namespace t2v
