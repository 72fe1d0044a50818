// CogVideoX's networks against the reference implementation, on the reference's inputs
// (tools/oracle/random_cogvideox.py).
#include <gtest/gtest.h>

#include "case_name.h"
#include "golden.h"
#include "models/cogvideox/cogvideox_transformer.h"
#include "models/cogvideox/cogvideox_vae.h"
#include "models/encoders/t5_encoder.h"
#include "texts.h"

namespace t2v {
namespace {

constexpr double cogvideox_limit = 1e-4;  // of the reference's scale, for one forward pass
                                          // (tools/oracle/README.md)

// Prints the error, and fails beyond the limit.
void expect_close_to(const std::string& model, const SafetensorsFile& golden, const at::Tensor& found,
                     const std::string& tensor) {
  const double error = test::relative_error(found, golden.tensor(tensor));
  std::printf("%-4s %-32s %.1e of %.0e\n", model.c_str(), tensor.c_str(), error, cogvideox_limit);
  EXPECT_LE(error, cogvideox_limit) << tensor;
}

class CogVideoXParity : public testing::TestWithParam<const char*> {
 protected:
  void expect_close(const at::Tensor& found, const std::string& tensor) const {
    expect_close_to(name, *golden, found, tensor);
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
    expect_close_to("2b", *golden, encoder.forward(golden->tensor(text + ".input_ids")),
                    text + ".prompt_embeds");
  }
}

class CogVideoXVaeParity : public testing::Test {
 protected:
  CogVideoXVaeParity() { weights.finish(); }

  std::filesystem::path folder = test::golden("cogvideox-2b") / "vae";
  std::shared_ptr<const SafetensorsFile> golden = test::open_golden("cogvideox-2b.safetensors");
  Weights weights = Weights::open(folder, "diffusion_pytorch_model", at::kCPU, at::kFloat);
  CogVideoXVae vae{parse_cogvideox_vae_config(read_json(folder / "config.json"), "config.json"),
                   weights.root()};
};

TEST_F(CogVideoXVaeParity, EncodesToTheReferencesPosterior) {
  for (const std::string one :
       {"vae.encode_1", "vae.encode_2", "vae.encode_3", "vae.encode_5", "vae.encode_13"}) {
    const auto [mean, logvar] = vae.encode(test::golden_input(*golden, one + ".frames")[0]);
    expect_close_to("2b", *golden, mean.unsqueeze(0), one + ".mean");
    expect_close_to("2b", *golden, logvar.unsqueeze(0), one + ".logvar");
  }
}

TEST_F(CogVideoXVaeParity, DecodesToTheReferencesFrames) {
  for (const std::string one :
       {"vae.decode_1", "vae.decode_2", "vae.decode_3", "vae.decode_4", "vae.decode_5", "vae.decode_13"})
    expect_close_to("2b", *golden, vae.decode(test::golden_input(*golden, one + ".latents")[0]).unsqueeze(0),
                    one + ".frames");
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
      return test::golden_input(*golden, "transformer." + one + "." + tensor);
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
