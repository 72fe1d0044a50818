// CogVideoX's networks against the reference implementation, on the reference's inputs
// (tools/oracle/random_cogvideox.py).
#include <gtest/gtest.h>

#include "case_name.h"
#include "golden.h"
#include "models/cogvideox_transformer.h"
#include "models/t5_encoder.h"
#include "texts.h"

namespace t2v {
namespace {

constexpr double limit = 1e-4;  // of the reference's scale, for one forward pass (tools/oracle/README.md)

class CogVideoXParity : public testing::TestWithParam<const char*> {
 protected:
  // Prints the error, and fails beyond the limit.
  void expect_close(const at::Tensor& found, const std::string& tensor) {
    const double error = test::relative_error(found, golden->tensor(tensor));
    std::printf("%-4s %-32s %.1e of %.0e\n", name.c_str(), tensor.c_str(), error, limit);
    EXPECT_LE(error, limit) << tensor;
  }

  std::string name = GetParam();
  std::shared_ptr<const SafetensorsFile> golden = test::open_golden("cogvideox-" + name + ".safetensors");
};

INSTANTIATE_TEST_SUITE_P(Models, CogVideoXParity, testing::Values("2b", "5b", "1.5"), test::name_of);

TEST(CogVideoXTextParity, T5GivesTheReferencesHiddenStates) {
  const auto golden = test::open_golden("cogvideox-2b.safetensors");
  const auto folder = test::golden("cogvideox-2b") / "text_encoder";
  auto weights = Weights::open(folder, "model", at::kCPU, at::kFloat);
  const T5Encoder encoder(parse_t5_config(read_json(folder / "config.json"), "config.json"), weights.root());
  weights.finish();
  for (const std::string text : {"text.0", "text.1", "text.2"}) {
    const double error = test::relative_error(encoder.forward(golden->tensor(text + ".input_ids")),
                                              golden->tensor(text + ".prompt_embeds"));
    std::printf("2b   %-32s %.1e of %.0e\n", (text + ".prompt_embeds").c_str(), error, limit);
    EXPECT_LE(error, limit) << text;
  }
}

TEST_P(CogVideoXParity, TransformerGivesTheReferencesPrediction) {
  const auto folder = test::golden("cogvideox-" + name) / "transformer";
  const auto config = parse_cogvideox_transformer_config(read_json(folder / "config.json"), "config.json");
  auto weights = Weights::open(folder, "diffusion_pytorch_model", at::kCPU, at::kFloat);
  const CogVideoXTransformer transformer(config, weights.root());
  weights.finish();
  for (const std::string one : {"video", "image", "clips", "long", "tall", "frame", "odd"}) {
    if (config.patch_size.t == 2 && (one == "frame" || one == "odd")) continue;
    const auto input = [&](const char* tensor) {
      return golden->tensor("transformer." + one + "." + tensor);
    };
    const auto latents = input("hidden_states");  // [B, C, T, H, W]
    std::vector<Clip> clips;
    std::vector<int64_t> text_of_segment;
    for (int64_t b = 0; b < latents.size(0); ++b) {
      clips.push_back({latents[b], {}});
      text_of_segment.push_back(b);
    }
    auto tokens = pack(clips, config.patch_size);
    const auto grid = token_grid(latents[0].sizes(), config.patch_size);
    set_timesteps(tokens, input("timestep").repeat_interleave(grid.count()));
    const auto values = test::predict_with(transformer, tokens, input("encoder_hidden_states"),
                                           text_of_segment);
    std::vector<at::Tensor> found;
    for (const auto& part : values.chunk(latents.size(0)))
      found.push_back(unpatchify(part, grid, config.patch_size));
    expect_close(at::stack(found), "transformer." + one + ".output");
  }
}

}  // namespace
}  // namespace t2v
