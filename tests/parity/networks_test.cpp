// Every network against the reference implementation, on the reference's inputs (tools/oracle/components.py).
#include <gtest/gtest.h>

#include "case_name.h"
#include "device.h"
#include "golden.h"
#include "models/model.h"
#include "texts.h"

namespace t2v {
namespace {

// Of the reference's scale, for one forward pass (tools/oracle/README.md).
const double network_limit = test::limit(1e-4);

class Parity : public testing::TestWithParam<const char*> {
 protected:
  // Prints the error, and fails beyond the limit.
  void expect_close(const at::Tensor& found, const at::Tensor& expected, const std::string& network,
                    const std::string& tensor) const {
    const double error = test::relative_error(found, expected);
    test::record(network + ", " + model, tensor, error, network_limit);
    EXPECT_LE(error, network_limit) << tensor;
  }
  // What the reference was given, on the device of the test.
  at::Tensor input(const std::string& tensor) const {
    return test::here(test::golden_input(*golden, tensor));
  }

  std::string model = GetParam();
  std::unique_ptr<Model> networks = open_model(open_model_folder(test::model_named(model)));
  std::shared_ptr<const SafetensorsFile> golden = test::open_golden("components_" + model + ".safetensors");
};

INSTANTIATE_TEST_SUITE_P(Models, Parity, testing::Values("world-128", "tiny"), test::name_of);

TEST_P(Parity, Umt5GivesTheReferencesHiddenStates) {
  auto weights = Weights::open(networks->folder().component("text_encoder"), "model", test::device(),
                               at::kFloat);
  const auto encoder = networks->make_text_encoder(weights.root());
  for (const std::string name : {"umt5.0", "umt5.1", "umt5.2", "umt5.3"}) {
    const auto length = golden->tensor(name + ".attention_mask").sum().item<int64_t>();
    const auto ids = input(name + ".input_ids")[0].narrow(0, 0, length);
    const auto expected = golden->tensor(name + ".last_hidden_state")[0].narrow(0, 0, length);
    expect_close(encoder->forward(ids), expected, "UMT5", name + ".last_hidden_state");
  }
}

TEST_P(Parity, TransformerGivesTheReferencesPrediction) {
  const auto transformer = load_denoiser(*networks, {test::device()});
  for (const std::string name :
       {"video", "image", "batch", "short_text", "frame_timesteps", "token_timesteps"}) {
    const auto prefix = "transformer." + name + ".";
    const auto latents = input(prefix + "hidden_states");  // [B, C, T, H, W]
    std::vector<Clip> clips;
    std::vector<int64_t> text_of_segment;
    for (int64_t b = 0; b < latents.size(0); ++b) {
      clips.push_back({latents[b], {}});
      text_of_segment.push_back(b);
    }
    auto tokens = pack(clips, networks->patch_size());
    const auto grid = token_grid(latents[0].sizes(), networks->patch_size());
    const auto timestep = golden->tensor(prefix + "timestep").to(at::kFloat);  // [B] or [B, tokens]
    set_timesteps(tokens,
                  timestep.dim() == 1 ? timestep.repeat_interleave(grid.count()) : timestep.flatten());
    const auto values = test::predict_with(*transformer, tokens, input(prefix + "encoder_hidden_states"),
                                           text_of_segment);
    std::vector<at::Tensor> found;
    for (const auto& part : values.chunk(latents.size(0)))
      found.push_back(unpatchify(part, grid, networks->patch_size()));
    expect_close(at::stack(found), golden->tensor(prefix + "output"), "transformer", prefix + "output");
  }
}

TEST_P(Parity, VaeEncodesToTheReferencesPosterior) {
  const auto vae = load_vae(*networks, {test::device()});
  for (const std::string name : {"vae.encode_1", "vae.encode_5", "vae.encode_9", "vae.encode_17"}) {
    const auto [mean, logvar] = vae->encode(input(name + ".frames")[0]);
    expect_close(mean.unsqueeze(0), golden->tensor(name + ".mean"), "VAE encoder", name + ".mean");
    expect_close(logvar.unsqueeze(0), golden->tensor(name + ".logvar"), "VAE encoder", name + ".logvar");
  }
}

TEST_P(Parity, VaeDecodesToTheReferencesFrames) {
  const auto vae = load_vae(*networks, {test::device()});
  for (const std::string name : {"vae.decode_1", "vae.decode_2", "vae.decode_3", "vae.decode_5"})
    expect_close(vae->decode(input(name + ".latents")[0]).unsqueeze(0), golden->tensor(name + ".frames"),
                 "VAE decoder", name + ".frames");
}

}  // namespace
}  // namespace t2v
