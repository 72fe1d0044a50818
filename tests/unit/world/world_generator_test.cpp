#include "world/world_generator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "errors.h"
#include "paths.h"
#include "pipeline/frames.h"
#include "t2v/generate.h"
#include "video/decoder.h"
#include "world/adherence.h"

namespace t2v {
namespace {

const LoadedWorldModel& shipped() {
  static const auto model = load_world_model(test::shipped_model().string(), "cpu", "float32", false);
  return model;
}

WorldSampling quick(double guidance_scale) {
  return {.scheduler = "ddim", .steps = 3, .guidance_scale = guidance_scale, .negative_prompt = "blue"};
}

TEST(WorldGenerator, MakesTheFramesOfTheProgram) {
  const test::TemporaryFolder folder;
  Observer observer;
  const std::string prompt = "a red circle bouncing on a navy background";
  GenerationRequest request;
  request.model = test::shipped_model().string();
  request.prompt = prompt;
  request.negative_prompt = "blue";
  request.size = "80x48";
  request.frames = 5;
  request.steps = 3;
  request.seed = 12;
  request.device = "cpu";
  request.guidance_scale = 6;
  request.guidance_rescale = 0.7;
  for (const std::string scheduler : {"ddim", "ddpm"}) {
    const auto pattern = folder / (scheduler + "-%d.png");
    request.scheduler = scheduler;
    request.output = pattern.string();
    generate(plan_generation(request), observer, [](const ClipResult&) {});
    const auto reader = open_video(pattern);
    std::vector<Frame> expected;
    while (auto frame = reader->read()) expected.push_back(std::move(*frame));

    auto sampling = quick(6);
    sampling.scheduler = scheduler;
    sampling.guidance_rescale = 0.7;
    const auto clips = generate_world_clips(shipped().networks(),
                                            {{prompt, {80, 48}, 5, 12}, {"a blue star", {64, 64}, 1, 3}},
                                            sampling, observer);
    ASSERT_EQ(clips.size(), 2U);
    EXPECT_EQ(clips[1].sizes(), (std::vector<int64_t>{3, 1, 64, 64}));
    const auto difference = (clips[0] - from_frames(expected)).abs().max().item<double>();
    EXPECT_LT(difference, 2.0 / 255) << scheduler;  // half of it is the rounding of 8-bit files
  }
}

TEST(WorldGenerator, DrawsFreshNoisePerClipForSchedulersThatAskForIt) {
  Observer observer;
  const std::vector<WorldClipRequest> requests{{"a red circle", {64, 64}, 1, 1},
                                               {"a red circle", {64, 64}, 1, 2}};
  auto sampling = quick(1);
  sampling.scheduler = "ddpm";
  const auto together = generate_world_clips(shipped().networks(), requests, sampling, observer);
  const auto alone = generate_world_clips(shipped().networks(), {requests[1]}, sampling, observer);
  EXPECT_LT((together[1] - alone[0]).abs().max().item<double>(), 1e-3);
  EXPECT_GT((together[0] - together[1]).abs().max().item<double>(), 1e-2);
}

TEST(WorldGenerator, RefusesWhatTheAutoencoderCannotHold) {
  Observer observer;
  const auto make = [&](PixelSize size, int64_t frames) {
    generate_world_clips(shipped().networks(), {{"a", size, frames, 1}}, quick(1), observer);
  };
  test::expect_error(ErrorKind::usage, {"64x60", "multiples of 16x16"}, [&] { make({64, 60}, 5); });
  test::expect_error(ErrorKind::usage, {"7 frames", "ask for 5"}, [&] { make({64, 64}, 7); });
}

TEST(PlainBackgroundError, LooksAtWhatIsFarFromAnythingElse) {
  const int navy = world_index(world_backgrounds(), "navy");
  const auto rgb = world_background_rgb(navy);
  auto frames = at::empty({3, 2, 64, 64});
  for (int64_t channel = 0; channel < 3; ++channel) frames[channel].fill_(rgb[channel] / 127.5 - 1);
  EXPECT_LE(plain_background_error(frames, navy), 1e-3);
  frames.slice(2, 20, 30).slice(3, 20, 30) = 1;        // a thing
  frames.slice(2, 12, 38).slice(3, 12, 38).add_(0.1);  // and what is less than 8 pixels from it
  EXPECT_LE(plain_background_error(frames, navy), 1e-3);
  frames[1].slice(1, 40, 64).add_(20 / 127.5);
  EXPECT_NEAR(plain_background_error(frames, navy), 20, 1e-3);
}

TEST(JudgeModel, StopsWhenItIsToldTo) {
  struct Stop : Observer {
    void check_cancelled() override { throw Error(ErrorKind::interrupted, "stopped"); }
  } observer;
  const auto networks = shipped().networks();
  AdherenceOptions options;
  options.sampling = quick(1);
  test::expect_error(ErrorKind::interrupted, {"stopped"}, [&] { judge_model(&networks, options, observer); });
}

TEST(JudgeModel, JudgesTheSameScenesWhateverTheSource) {
  Observer observer;
  const auto networks = shipped().networks();
  AdherenceOptions options;
  options.prompts = 4;
  options.frames = 5;
  options.sampling = quick(1);
  const auto model = judge_model(&networks, options, observer).front();
  options.source = AdherenceSource::ground_truth;
  const auto truth = judge_model(nullptr, options, observer).front();
  ASSERT_EQ(model.clips.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(model.clips[i].caption, truth.clips[i].caption);
    EXPECT_EQ(model.clips[i].size, truth.clips[i].size);
    for (const auto& object : truth.clips[i].scene.objects) EXPECT_TRUE(world_held_out(object));
  }
  EXPECT_EQ(truth.all_four, 4);
}

}  // namespace
}  // namespace t2v
