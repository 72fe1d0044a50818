// Every network against the reference implementation, on the reference's inputs (tools/oracle/components.py).
#include <gtest/gtest.h>

#include "case_name.h"
#include "golden.h"
#include "models/model.h"
#include "texts.h"

namespace t2v {
namespace {

constexpr double limit = 1e-4;  // of the reference's scale, for one forward pass (tools/oracle/README.md)

class Parity : public testing::TestWithParam<const char*> {
 protected:
  // Prints the error, and fails beyond the limit.
  void expect_close(const at::Tensor& found, const std::string& tensor) {
    const double error = test::relative_error(found, golden->tensor(tensor));
    std::printf("%-9s %-32s %.1e of %.0e\n", model.c_str(), tensor.c_str(), error, limit);
    EXPECT_LE(error, limit) << tensor;
  }

  std::string model = GetParam();
  std::unique_ptr<Model> networks = open_model(open_model_folder(test::model_named(model)));
  std::shared_ptr<const SafetensorsFile> golden = test::open_golden("components_" + model + ".safetensors");
};

INSTANTIATE_TEST_SUITE_P(Models, Parity, testing::Values("world-64", "world-128", "tiny"), test::name_of);

TEST_P(Parity, Umt5GivesTheReferencesHiddenStates) {
  auto weights = Weights::open(networks->folder().component("text_encoder"), "model", at::kCPU, at::kFloat);
  const auto encoder = networks->make_text_encoder(weights.root());
  for (const std::string name : {"umt5.0", "umt5.1", "umt5.2", "umt5.3"}) {
    const auto length = golden->tensor(name + ".attention_mask").sum().item<int64_t>();
    const auto ids = golden->tensor(name + ".input_ids")[0].narrow(0, 0, length);
    const auto expected = golden->tensor(name + ".last_hidden_state")[0].narrow(0, 0, length);
    const double error = test::relative_error(encoder->forward(ids), expected);
    std::printf("%-9s %-32s %.1e of %.0e\n", model.c_str(), (name + ".last_hidden_state").c_str(), error,
                limit);
    EXPECT_LE(error, limit) << name;
  }
}

TEST_P(Parity, TransformerGivesTheReferencesPrediction) {
  const auto transformer = load_denoiser(*networks, {});
  for (const std::string name :
       {"video", "image", "batch", "short_text", "frame_timesteps", "token_timesteps"}) {
    const auto input = [&](const char* tensor) {
      return golden->tensor("transformer." + name + "." + tensor);
    };
    const auto latents = input("hidden_states");  // [B, C, T, H, W]
    std::vector<Clip> clips;
    std::vector<int64_t> text_of_segment;
    for (int64_t b = 0; b < latents.size(0); ++b) {
      clips.push_back({latents[b], {}});
      text_of_segment.push_back(b);
    }
    auto tokens = pack(clips, networks->patch_size());
    const auto grid = token_grid(latents[0].sizes(), networks->patch_size());
    const auto timestep = input("timestep").to(at::kFloat);  // [B] or [B, tokens]
    set_timesteps(tokens,
                  timestep.dim() == 1 ? timestep.repeat_interleave(grid.count()) : timestep.flatten());
    const auto values = test::predict_with(*transformer, tokens, input("encoder_hidden_states"),
                                           text_of_segment);
    std::vector<at::Tensor> found;
    for (const auto& part : values.chunk(latents.size(0)))
      found.push_back(unpatchify(part, grid, networks->patch_size()));
    expect_close(at::stack(found), "transformer." + name + ".output");
  }
}

TEST_P(Parity, VaeEncodesToTheReferencesPosterior) {
  const auto vae = load_vae(*networks, {});
  for (const std::string name : {"vae.encode_1", "vae.encode_5", "vae.encode_9", "vae.encode_17"}) {
    const auto [mean, logvar] = vae->encode(golden->tensor(name + ".frames")[0]);
    expect_close(mean.unsqueeze(0), name + ".mean");
    expect_close(logvar.unsqueeze(0), name + ".logvar");
  }
}

TEST_P(Parity, VaeDecodesToTheReferencesFrames) {
  const auto vae = load_vae(*networks, {});
  for (const std::string name : {"vae.decode_1", "vae.decode_2", "vae.decode_3", "vae.decode_5"})
    expect_close(vae->decode(golden->tensor(name + ".latents")[0]).unsqueeze(0), name + ".frames");
}

}  // namespace
}  // namespace t2v
