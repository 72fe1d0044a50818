#include "world/adherence.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "errors.h"
#include "paths.h"
#include "world/world.h"

namespace t2v {
namespace {

// Three steps of the shipped model.
AdherenceOptions quick() {
  AdherenceOptions options;
  options.request.model = test::shipped_model().string();
  options.request.device = "cpu";
  options.request.scheduler = "ddim";
  options.request.steps = 3;
  options.request.guidance_scale = 1;
  return options;
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

TEST(ClosingDistance, IsOfLastAndFirstFrameInStepsOfNeighbours) {
  const auto clip_of = [](std::vector<float> values) {
    return at::tensor(values).view({1, -1, 1, 1}).expand({3, -1, 4, 4});
  };
  EXPECT_NEAR(closing_distance(clip_of({0, 0.1F, 0.2F, 0.3F})), 3, 1e-5);
  EXPECT_NEAR(closing_distance(clip_of({0, 0.1F, 0.2F, 0.1F})), 1, 1e-5);
  EXPECT_EQ(closing_distance(clip_of({0.5F, 0.5F, 0.5F})), 0);
  EXPECT_EQ(closing_distance(clip_of({0.5F})), 0);
}

TEST(JudgeModel, RefusesWhatTheModelDoesNotMake) {
  Observer observer;
  auto options = quick();
  options.sizes = {{64, 60}};
  test::expect_error(ErrorKind::usage, {"64x60 became 64x32", "multiples of 32"},
                     [&] { judge_model(options, observer); });
  options.sizes = {{64, 64}};
  options.frames = 7;
  test::expect_error(ErrorKind::usage, {"7 frames became", "1 + 4·k"}, [&] { judge_model(options, observer); });
}

TEST(JudgeModel, StopsWhenItIsToldTo) {
  struct Stop : Observer {
    void check_cancelled() override { throw Error(ErrorKind::interrupted, "stopped"); }
  } observer;
  test::expect_error(ErrorKind::interrupted, {"stopped"}, [&] { judge_model(quick(), observer); });
}

TEST(JudgeModel, JudgesTheSameScenesWhateverTheSource) {
  Observer observer;
  auto options = quick();
  options.prompts = 4;
  options.frames = 5;
  const auto model = judge_model(options, observer).front();
  options.source = AdherenceSource::ground_truth;
  const auto truth = judge_model(options, observer).front();
  ASSERT_EQ(model.clips.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(model.clips[i].caption, truth.clips[i].caption);
    EXPECT_EQ(model.clips[i].size, truth.clips[i].size);
    for (const auto& object : truth.clips[i].scene.objects) EXPECT_TRUE(world_held_out(object));
  }
  EXPECT_EQ(truth.all_four, 4);
  EXPECT_EQ(model.plan->steps, 3);
}

}  // namespace
}  // namespace t2v
