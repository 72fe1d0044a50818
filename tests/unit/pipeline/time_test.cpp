// The time that a plan is expected to take.
#include <gtest/gtest.h>

#include "paths.h"
#include "pipeline/flop_counter.h"
#include "t2v/generate.h"

namespace t2v {
namespace {

GenerationRequest request_of(const std::filesystem::path& model, const std::filesystem::path& output) {
  GenerationRequest request;
  request.model = model.string();
  request.prompt = "a red circle bouncing on a navy background";
  request.width = request.height = 64;
  request.frames = 9;
  request.steps = 3;
  request.seed = 1;
  request.output = output.string();
  return request;
}

TEST(TimeEstimate, CountsWhatARunDoes) {
  const test::TemporaryFolder folder;
  for (const std::filesystem::path& model : {test::shipped_model(), test::golden("wan-tiny")}) {
    const auto plan = plan_generation(request_of(model, folder / "clip.y4m"));
    const auto expected = estimate_time(plan).value();
    Observer observer;
    double counted = 0;
    {
      const FlopCounter counter;
      generate(plan, observer, [](const ClipResult&) {});
      counted = counter.flops();
    }
    EXPECT_NEAR(expected.flops / counted, 1, 0.15) << model << ": " << expected.flops << ", " << counted;
    EXPECT_GT(expected.rate, 1e8);
    EXPECT_DOUBLE_EQ(expected.total, expected.text + expected.denoising + expected.decoding);
  }
}

TEST(TimeEstimate, StepsBranchesClipsAndWindowsMultiply) {
  const test::TemporaryFolder folder;
  auto request = request_of(test::shipped_model(), folder / "{index}.y4m");
  const auto denoising = [](const GenerationRequest& r) {
    const auto found = estimate_time(plan_generation(r)).value();
    return found.denoising * found.rate;
  };
  const double once = denoising(request);
  request.steps = 6;
  EXPECT_NEAR(denoising(request) / once, 2, 1e-9);
  request.guidance_scale = 1;
  EXPECT_NEAR(denoising(request) / once, 1, 1e-9);
  request.count = 3;
  EXPECT_NEAR(denoising(request) / once, 3, 1e-9);
  request.frames = 49;
  request.window = 17;
  request.overlap = 1;  // 17 + 16 + 16
  const double windows = denoising(request);
  request.frames = 17;
  EXPECT_NEAR(windows / denoising(request), 3, 1e-9);
}

}  // namespace
}  // namespace t2v
