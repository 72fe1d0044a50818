// World 2 as a source of clips.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "train/data/clip_source.h"

namespace t2v {
namespace {

const std::vector<std::array<int64_t, 2>> kSizes = {{64, 64}, {96, 48}};

BookScene scene_of(uint64_t stream, WorldSide side, int64_t frames, const BookShares& shares = {.cuts = 0}) {
  WorldRandom random(5, stream);
  return sample_book_scene(random, side, frames, shares);
}

bool any_held_out(const BookScene& scene) {
  for (const auto& shot : scene.shots)
    for (const auto& thing : shot.things)
      if (book_held_out(thing.noun, thing.motion, shot.place)) return true;
  return false;
}

TEST(BookSource, DrawsBothSidesAndNeverTheOneForTheOther) {
  const auto source = make_book_source(kSizes, {.cuts = 0});
  for (uint64_t index = 0; index < 40; ++index) {
    const auto size = source->size_of(5, index);
    const auto [width, height] = kSizes[size];
    const auto training = scene_of(2 * index, WorldSide::training, 5),
               held_out = scene_of(2 * index + 1, WorldSide::held_out, 5);
    EXPECT_FALSE(any_held_out(training));
    EXPECT_TRUE(any_held_out(held_out));
    EXPECT_TRUE(
        at::equal(source->training_clip(5, index, size, 5).frames, render_book(training, width, height)));
    EXPECT_TRUE(
        at::equal(source->held_out_clip(5, index, size, 5).frames, render_book(held_out, width, height)));
  }
}

TEST(BookSource, ItsTracksAreWhereTheThingsAre) {
  const auto source = make_book_source(kSizes, {.two_things = 1, .cuts = 0});
  const auto clip = source->training_clip(5, 3, 1, 9);
  const auto scene = scene_of(6, WorldSide::training, 9, {.two_things = 1, .cuts = 0});
  const auto poses = book_poses(scene.shots.front(), 96, 48);
  ASSERT_EQ(clip.tracks.size(), 2U);
  EXPECT_FALSE(clip.caption.empty());
  EXPECT_TRUE(clip.objects.empty());
  for (std::size_t k = 0; k < 2; ++k)
    for (std::size_t t = 0; t < 9; ++t) {
      EXPECT_NEAR(clip.tracks[k].x[t] * 48 + 48, poses[k][t].x, 1e-3);
      EXPECT_NEAR(clip.tracks[k].y[t] * 48 + 24, poses[k][t].y, 1e-3);
      EXPECT_NEAR(clip.tracks[k].radius[t] * 96, poses[k][t].size, 1e-3);
    }
}

TEST(BookSource, CutsClipsAsOftenAsAsked) {
  const auto never = make_book_source(kSizes, {.cuts = 0}), always = make_book_source(kSizes, {.cuts = 1});
  EXPECT_NE(never->fingerprint(), always->fingerprint());
  std::size_t uncut = 0, cut = 0;
  for (uint64_t index = 0; index < 10; ++index) {
    uncut += never->training_clip(5, index, 0, 33).tracks.size();
    cut += always->training_clip(5, index, 0, 33).tracks.size();
  }
  EXPECT_LE(uncut, 20U);       // one shot of at most two things
  EXPECT_GT(cut, uncut + 5U);  // two shots
}

TEST(BookSource, DrawsTheFirstThingsAloneWhereFewerAreAsked) {
  const auto few = make_book_source(kSizes, {.drawings = 2, .cuts = 0}),
             all = make_book_source(kSizes, {.cuts = 0});
  EXPECT_NE(few->fingerprint(), all->fingerprint());
  std::set<int> drawn;
  for (uint64_t stream = 0; stream < 200; ++stream) {
    const auto scene = scene_of(stream, WorldSide::training, 9, {.drawings = 2, .cuts = 0});
    for (const auto& thing : scene.shots.front().things)
      if (thing.noun < kBookDrawings) drawn.insert(thing.noun);
  }
  EXPECT_EQ(drawn, (std::set<int>{0, 1}));
}

}  // namespace
}  // namespace t2v
