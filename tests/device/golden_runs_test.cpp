// Whole runs on the tests' device against the reference pipeline on the CPU, every step of the latents
// (tests/golden/trajectories.safetensors, tools/oracle/trajectories.py).
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "case_name.h"
#include "device.h"
#include "pipeline/components.h"
#include "pipeline/run/sampling.h"
#include "texts.h"

namespace t2v {
namespace {

class GoldenRun : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Runs, GoldenRun,
                         testing::Values("square.ddim", "square.unipc", "wide.ddim", "tall.unipc",
                                         "rescaled.ddim", "tiny.unipc"),
                         test::name_of);

TEST_P(GoldenRun, LatentsFollowTheReferenceAtEveryStep) {
  constexpr double close = 1e-3;  // of the reference's scale, as tests/parity has it after all steps
  const at::NoGradGuard no_grad;
  const std::string run = GetParam();
  const auto golden = test::open_golden("trajectories.safetensors");
  const auto about = Json::parse(golden->metadata().at("about")).at("cases").at(run);
  const auto reference = [&](const char* tensor) { return golden->tensor(run + "." + tensor); };
  const auto padded = [&](const char* tensor) {
    const auto rows = reference(tensor);
    return at::constant_pad_nd(rows, {0, 0, 0, about.at("max_text_tokens").get<int64_t>() - rows.size(0)});
  };

  const auto configs = read_model_configs(
      open_model_folder(test::model_named(about.at("model").get<std::string>())));
  const auto network = load_denoiser(*configs.model, {test::device()});
  const auto texts = test::text_states(
      test::here(at::stack({padded("prompt_embeds"), padded("negative_prompt_embeds")})));
  const auto scheduler = make_scheduler(run.substr(run.find('.') + 1), configs.scheduler,
                                        {.steps = about.at("steps").get<int64_t>()});
  const auto latents = reference("latents"), noise = reference("noise")[0];
  const auto patch = network->patch_size();
  const auto grid = token_grid(noise.sizes(), patch);
  double worst = 0;
  int64_t steps = 0;
  SamplingHooks hooks;
  hooks.after_step = [&](int64_t step, double timestep, const at::Tensor& values) {
    EXPECT_EQ(timestep, reference("timesteps")[step].item<double>());
    worst = std::max(worst, test::relative_error(unpatchify(values, grid, patch), latents[step]));
    ++steps;
  };
  Observer observer;
  const std::vector<Guidance> guidance = {
      {about.at("guidance_scale").get<double>(), about.at("guidance_rescale").get<double>()}};
  const auto tokens = pack({{test::here(noise * scheduler->init_noise_sigma()), {}}}, patch, 2);
  sample(*network, prepare_passes(*network, tokens, texts, guidance), *scheduler, tokens, guidance, hooks,
         observer);
  EXPECT_EQ(steps, latents.size(0));
  test::record("run " + run + ", latents of all steps", "worst", worst, close);
  EXPECT_LE(worst, close);
}

}  // namespace
}  // namespace t2v
