// The shipped model on the tests' device against the same on the CPU, stage by stage (tools/device-check).
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "device.h"
#include "pipeline/components.h"
#include "pipeline/run/sampling.h"
#include "train/data/clip_source.h"

namespace t2v {
namespace {

constexpr double shipped_limit = 1e-3;  // of the CPU's scale

class ShippedModel : public testing::Test {
 protected:
  at::Tensor text(at::Device device, at::ScalarType dtype) const {
    const auto conditioner = load_text(model(), model().load_tokenizer(), {device, dtype});
    return conditioner->encode(model().clean("a red circle bouncing on a navy background"))
        .states.front()
        .to(at::kCPU, at::kFloat);
  }

  // A prompt and an empty one.
  std::vector<TextStates> texts() const {
    const auto prompt = text(at::kCPU, at::kFloat);
    const auto length = *model().defaults().max_text_tokens;
    return {{{prompt}, length}, {{prompt.slice(0, -1)}, length}};
  }

  at::Tensor noise() const { return test::random_normal(model().vae().latent_shape(9, 128, 128), 1); }

  at::Tensor prediction(at::Device device, at::ScalarType dtype) const {
    const auto network = load_denoiser(model(), {device, dtype});
    auto tokens = pack({{noise().to(device), {}}}, network->patch_size(), 2);
    set_timestep(tokens, 700);
    return network->predict(tokens, *network->prepare(tokens, texts())).to(at::kCPU);
  }

  // The sample after every step.
  std::vector<at::Tensor> samples(at::Device device, at::ScalarType dtype,
                                  const std::string& scheduler_name) const {
    const auto network = load_denoiser(model(), {device, dtype});
    const auto scheduler = make_scheduler(scheduler_name, configs.scheduler, {.steps = 20});
    std::vector<at::Tensor> found;
    SamplingHooks hooks;
    hooks.after_step = [&](int64_t, double, const at::Tensor& values) {
      found.push_back(values.to(at::kCPU));
    };
    Observer observer;
    const auto tokens = pack({{noise().to(device), {}}}, network->patch_size(), 2);
    sample(*network, prepare_passes(*network, tokens, texts(), {{6.0}}), *scheduler, tokens, {{6.0}}, hooks,
           observer);
    return found;
  }

  at::Tensor decoded(at::Device device) const {
    const auto vae = load_vae(model(), {device});
    return vae->decode(vae->denormalise(noise().to(device))).to(at::kCPU);
  }

  static void expect_close(const std::string& stage, const at::Tensor& found, const at::Tensor& expected) {
    const double error = test::relative_error(found, expected);
    test::record(stage, "error", error, shipped_limit);
    EXPECT_LE(error, shipped_limit) << stage;
  }
  static void report(const std::string& stage, const at::Tensor& found, const at::Tensor& expected) {
    test::record(stage, "error", test::relative_error(found, expected), std::nullopt);
  }

  const at::NoGradGuard no_grad;
  const Model& model() const { return *configs.model; }
  ModelConfigs configs = read_model_configs(open_model_folder(test::shipped_model(kDefaultModel)));
};

TEST_F(ShippedModel, Text) {
  expect_close("text encoder", text(test::device(), at::kFloat), text(at::kCPU, at::kFloat));
}

TEST_F(ShippedModel, Transformer) {
  expect_close("transformer, a step with guidance", prediction(test::device(), at::kFloat),
               prediction(at::kCPU, at::kFloat));
}

TEST_F(ShippedModel, VaeDecode) {
  expect_close("VAE decode, 9 frames", decoded(test::device()), decoded(at::kCPU));
}

TEST_F(ShippedModel, VaeEncode) {
  const auto frames = test::random_normal({3, 17, 128, 128}, 2).clamp(-1, 1);
  const auto expected = load_vae(model(), {})->encode(frames);
  const auto found = load_vae(model(), {test::device()})->encode(test::here(frames));
  expect_close("VAE encode, 17 frames", found.mean, expected.mean);
  expect_close("VAE encode, 17 frames", found.logvar, expected.logvar);
}

TEST_F(ShippedModel, Sampling) {
  for (const std::string name : {"ddim", "unipc"}) {
    const auto found = samples(test::device(), at::kFloat, name);
    const auto expected = samples(at::kCPU, at::kFloat, name);
    ASSERT_EQ(found.size(), 20U);
    for (std::size_t step = 0; step < found.size(); ++step)
      expect_close("sampling, " + name + ", all 20 steps", found[step], expected[step]);
  }
}

// Nothing is asserted of what follows: how far it is from float32 is for a person to read.
TEST_F(ShippedModel, BFloat16IsReported) {
  report("text encoder, bfloat16", text(test::device(), at::kBFloat16), text(at::kCPU, at::kFloat));
  report("transformer, bfloat16", prediction(test::device(), at::kBFloat16),
         prediction(at::kCPU, at::kFloat));
  const auto clip = make_world_source({{128, 128}}, {})->training_clip(1, 5, 0, 9).frames;
  const auto latents = load_vae(model(), {})->encode(clip).mean;  // of noise it decodes 0.1 of scale apart
  const auto decoded_in = [&](at::Device device, at::ScalarType dtype) {
    return load_vae(model(), {device, dtype})->decode(latents.to(device)).cpu();
  };
  report("VAE decode, bfloat16", decoded_in(test::device(), at::kBFloat16), decoded_in(at::kCPU, at::kFloat));
  report("sampling, unipc, bfloat16, last step", samples(test::device(), at::kBFloat16, "unipc").back(),
         samples(at::kCPU, at::kFloat, "unipc").back());
}

TEST_F(ShippedModel, TF32IsReported) {
  at::globalContext().setAllowTF32CuDNN(true);
  report("VAE decode with TF32", decoded(test::device()), decoded(at::kCPU));
  at::globalContext().setAllowTF32CuDNN(false);
}

}  // namespace
}  // namespace t2v
