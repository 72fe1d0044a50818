#include "world/judge/judge.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "errors.h"
#include "sanitizer.h"
#include "world/adherence.h"
#include "world/judge/judge_motion.h"
#include "world/world.h"

namespace t2v {
namespace {

struct Share {
  int64_t clips = 0, count = 0, all_four = 0, size = 0;
};

// Judges pictures of scenes; the way they go wrong is said once a scene is wrong. Judging is arithmetic on
// one thread, which a sanitizer makes twenty times slower: it gets two scenes.
Share judge_scenes(
    int64_t scenes, double two_objects, int64_t frames, int64_t width, int64_t height,
    const std::function<at::Tensor(const at::Tensor&)>& change = [](const at::Tensor& video) {
      return video;
    }) {
  Share share;
  if (test::has_sanitizer) scenes = std::min<int64_t>(scenes, 2);
  for (int64_t i = 0; i < scenes; ++i) {
    WorldRandom random(11, static_cast<uint64_t>(i));
    const auto scene = sample_world_scene(random, WorldSide::any, {two_objects});
    const auto clip = judge_clip(scene, judge_world(change(render_world(scene, frames, width, height))));
    ++share.clips;
    share.count += clip.count, share.all_four += clip.all_four(), share.size += clip.object_size;
    if (!clip.all_four()) std::cerr << "scene " << i << ": " << clip_to_json(clip).dump() << "\n";
  }
  return share;
}

TEST(Judge, ReadsOneObjectBack) {
  for (const auto& [width, height] : {std::pair{64, 64}, std::pair{80, 48}, std::pair{48, 80}}) {
    const auto share = judge_scenes(12, 0, 17, width, height);
    EXPECT_EQ(share.all_four, share.clips) << width << "x" << height;
    EXPECT_EQ(share.count, share.clips);
    EXPECT_GE(share.size, share.clips - 1);
  }
}

TEST(Judge, ReadsTwoObjectsBack) {
  const auto share = judge_scenes(10, 1, 17, 80, 48);
  EXPECT_EQ(share.all_four, share.clips);
  EXPECT_EQ(share.count, share.clips);
}

TEST(Judge, ReadsShortLongAndLargeClips) {
  for (const auto& [frames, width, height] :
       {std::tuple{9, 64, 64}, std::tuple{33, 48, 80}, std::tuple{17, 128, 128}}) {
    const auto share = judge_scenes(6, 0, frames, width, height);
    EXPECT_EQ(share.all_four, share.clips) << frames << " frames of " << width << "x" << height;
  }
}

TEST(Judge, ReadsBlurredNoisyTintedClips) {
  at::manual_seed(1);
  const auto soften = [](const at::Tensor& video) {
    const auto blurred = at::avg_pool2d(video.transpose(0, 1), 3, 1, 1, false, /*count_include_pad=*/false)
                             .transpose(0, 1);
    return blurred * 0.93 + 0.03 + at::randn_like(blurred) * 0.04;
  };
  const auto share = judge_scenes(16, 0, 17, 64, 64, soften);
  EXPECT_GE(share.all_four, share.clips - 1);
}

// One difference at a time between what was asked for and what is shown.
TEST(Judge, SeesWhatIsWrong) {
  WorldScene scene{{{world_index(world_shapes(), "heart"), world_index(world_colours(), "red"),
                     world_index(world_motions(), "swaying"), 1, 0.2, 0.3, 0.1}},
                   1};
  const auto judged = judge_world(render_world(scene, 17, 64, 64));
  EXPECT_TRUE(judge_clip(scene, judged).all_four());
  auto other = scene;
  other.objects[0].shape = world_index(world_shapes(), "star");
  EXPECT_FALSE(judge_clip(other, judged).shape);
  EXPECT_TRUE(judge_clip(other, judged).motion);
  other = scene;
  other.objects[0].motion = world_index(world_motions(), "circling");
  EXPECT_FALSE(judge_clip(other, judged).motion);
  other = scene;
  other.objects[0].colour = world_index(world_colours(), "pink");
  EXPECT_FALSE(judge_clip(other, judged).colour);
  other = scene;
  other.background = 0;
  EXPECT_FALSE(judge_clip(other, judged).background);
  other = scene;
  other.objects.push_back({0, world_index(world_colours(), "blue"), 0, 0, 0, 0, 0});
  const auto clip = judge_clip(other, judged);
  EXPECT_FALSE(clip.count);
  EXPECT_FALSE(clip.colour);
  EXPECT_FALSE(clip.all_four());
}

TEST(Judge, SeesNothingInAnEmptyFrame) {
  for (int background = 0; background < 6; ++background) {
    const auto judged = judge_world(render_world({{}, background}, 9, 64, 48));
    EXPECT_EQ(judged.background, background);
    EXPECT_TRUE(judged.objects.empty());
  }
}

TEST(Judge, TakesBytesAsItTakesFloats) {
  WorldRandom random(5);
  const auto video = render_world(sample_world_scene(random, WorldSide::any, {0}), 9, 64, 64);
  const auto floats = judge_world(video), bytes = judge_world(((video + 1) * 127.5).round().to(at::kByte));
  EXPECT_EQ(floats.background, bytes.background);
  EXPECT_EQ(floats.objects.at(0).shape, bytes.objects.at(0).shape);
  EXPECT_EQ(floats.objects.at(0).motion, bytes.objects.at(0).motion);
}

TEST(Judge, DoesNotNameAMotionInAStill) {
  WorldRandom random(6);
  EXPECT_EQ(judge_world(render_world(sample_world_scene(random, WorldSide::any, {0}), 1, 64, 64))
                .objects.at(0)
                .motion,
            -1);
}

TEST(Judge, RefusesWhatIsNoRgbVideo) {
  test::expect_error(ErrorKind::usage, {"RGB frames"}, [] { judge_world(at::zeros({4, 5, 64, 64})); });
  test::expect_error(ErrorKind::usage, {"RGB frames"}, [] { judge_world(at::zeros({3, 64, 64})); });
  test::expect_error(ErrorKind::usage, {"RGB frames"}, [] {
    judge_world(at::zeros({3, 5, 64, 64}, at::kInt));
  });
}

// The tracks themselves, whole and with every frame in sight, in many scenes.
TEST(FitMotion, NamesTheMotionOfExactTracks) {
  for (int64_t i = 0; i < 400; ++i) {
    WorldRandom random(21, static_cast<uint64_t>(i));
    const auto scene = sample_world_scene(random, WorldSide::any, {0});
    const auto& object = scene.objects[0];
    if (world_motions()[static_cast<std::size_t>(object.motion)] == "spinning") continue;
    const auto track = world_tracks(scene, 17, 64, 64)[0];
    std::vector<FittedFrame> frames(17);
    for (std::size_t t = 0; t < frames.size(); ++t) {
      const float outside = std::max(std::abs(track.x[t]), std::abs(track.y[t])) - 0.5F;
      frames[t] = {outside < 0, outside < 0, 1, {track.x[t], track.y[t], track.radius[t], 0}};
    }
    EXPECT_EQ(fit_motion(frames, 0.5, 0.5).motion, object.motion)
        << "scene " << i << ", " << world_motions()[static_cast<std::size_t>(object.motion)];
  }
}

}  // namespace
}  // namespace t2v
