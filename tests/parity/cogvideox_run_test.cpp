// CogVideoX's whole pipeline against the reference's: text, noise, every step, frames
// (tools/oracle/random_cogvideox.py, record_run).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "case_name.h"
#include "golden.h"
#include "t2v/generate.h"

namespace t2v {
namespace {

GenerationRequest request_of(const std::string& model) {
  GenerationRequest request;
  request.model = test::golden("cogvideox-" + model).string();
  request.prompt = "a cat walks along a wall";
  request.negative_prompt = "blue";
  request.size = "48x32";
  request.frames = 9;
  request.steps = 4;
  request.guidance_scale = 6;
  request.seed = 7;
  request.device = "cpu";
  request.to_receiver = true;
  return request;
}

void generate(const GenerationRequest& request, const FrameReceiver& receiver) {
  Observer observer;
  generate_all(
      {plan_generation(request)}, {}, observer,
      [](const ClipOutcome& outcome) {
        if (outcome.error) throw Error(*outcome.error);
      },
      receiver);
}

// The worst error of the latents in a trace; the timesteps are the reference's.
double error_of_trace(const std::filesystem::path& trace, const SafetensorsFile& golden,
                      const std::string& run) {
  const auto expected = golden.tensor(run + ".latents"), timesteps = golden.tensor(run + ".timesteps");
  double worst = 0;
  for (int64_t step = 0; step < expected.size(0); ++step) {
    const auto file = SafetensorsFile::open(trace / ("step_000" + std::to_string(step) + ".safetensors"));
    EXPECT_EQ(file->tensor("timestep").item<int64_t>(), timesteps[step].item<int64_t>());
    worst = std::max(worst, test::relative_error(file->tensor("latents")[0], expected[step]));
  }
  return worst;
}

class CogVideoXRun : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Models, CogVideoXRun, testing::Values("2b", "5b", "1.5"), test::name_of);

TEST_P(CogVideoXRun, FollowsTheReferenceFromTheTextToTheFrames) {
  const std::string name = GetParam();
  const auto golden = test::open_golden("cogvideox-" + name + ".safetensors");
  const test::TemporaryFolder folder;
  auto request = request_of(name);
  request.trace = (folder / "trace").string();
  std::vector<at::Tensor> parts;
  generate(request, [&](std::size_t, std::size_t, const FrameBlock& block) {
    const std::array<int64_t, 4> shape = {3, block.frames, block.height, block.width};
    parts.push_back(at::from_blob(const_cast<float*>(block.values), shape).clone());
  });

  const double worst = error_of_trace(folder / "trace", *golden, "run");
  std::printf("%-4s latents of all steps %.1e\n", name.c_str(), worst);
  EXPECT_LE(worst, 1e-4);
  const auto frames = at::cat(parts, 1).permute({1, 2, 3, 0}) / 2 + 0.5;  // [T, H, W, 3]
  const double error = (frames - golden->tensor("run.frames").to(at::kFloat)).abs().max().item<double>();
  std::printf("%-4s frames before rounding %.1e of 1/255\n", name.c_str(), error);
  EXPECT_LE(error, 1.0 / 255);
}

// With the guidance that changes from step to step, and with the scheduler that draws two noises a step.
TEST_P(CogVideoXRun, FollowsTheReferencesDynamicGuidanceAndItsDpmScheduler) {
  const std::string name = GetParam();
  const auto golden = test::open_golden("cogvideox-" + name + ".safetensors");
  for (const std::string run : {"dynamic", "dpm"}) {
    const test::TemporaryFolder folder;
    auto request = request_of(name);
    request.dynamic_guidance = true;
    if (run == "dpm") request.scheduler = "cogvideox-dpm";
    request.trace = (folder / "trace").string();
    generate(request, [](std::size_t, std::size_t, const FrameBlock&) {});
    const double worst = error_of_trace(folder / "trace", *golden, run);
    std::printf("%-4s %-7s latents of all steps %.1e\n", name.c_str(), run.c_str(), worst);
    EXPECT_LE(worst, 1e-4) << run;
  }
}

// Four frames to a latent, and two latents to a step of the autoencoder.
TEST(CogVideoXPlan, FramesAreRoundedToTheFamilysStep) {
  GenerationRequest request;
  request.model = test::golden("cogvideox-2b").string();
  request.prompt = "a cat";
  request.size = "48x32";
  request.frames = 20;
  request.to_receiver = true;
  const auto plan = plan_generation(request);
  EXPECT_EQ(plan.frames, 17);
  EXPECT_NE(plan.notes.front().find("20 frames became 17: the model makes 1 + 8·k"), std::string::npos);
}

}  // namespace
}  // namespace t2v
