#include "world/book/book.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <set>

#include "world/book/vocabulary.h"

namespace t2v {
namespace {

constexpr std::array<std::array<int64_t, 2>, 5> kSizes{
    {{128, 128}, {160, 96}, {96, 160}, {144, 112}, {192, 80}}};

BookScene scene_of(uint64_t index, int64_t frames = 17, WorldSide side = WorldSide::training) {
  WorldRandom random(11, index);
  return sample_book_scene(random, side, frames, {});
}

BookShot shot_of(const std::string& noun, const std::string& motion, const std::string& place,
                 int64_t frames = 17) {
  BookShot shot;
  shot.things.resize(1);
  shot.things[0].noun = world_index(book_noun_names(), noun);
  shot.things[0].motion = world_index(book_motion_names(), motion);
  shot.place = world_index(book_place_names(), place);
  shot.frames = frames;
  return shot;
}

// FNV-1a of the frames as 8-bit numbers.
std::string hash_of(const at::Tensor& video) {
  const auto bytes = ((video + 1) * 127.5 + 0.5).floor().clamp(0, 255).to(at::kByte).contiguous();
  uint64_t hash = 0xCBF29CE484222325u;
  for (int64_t i = 0; i < bytes.numel(); ++i) hash = (hash ^ bytes.data_ptr<uint8_t>()[i]) * 0x100000001B3u;
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

std::string picture_and_caption(uint64_t seed, int64_t frames, int64_t width, int64_t height) {
  WorldRandom random(seed);
  const auto scene = sample_book_scene(random, WorldSide::training, frames, {});
  return hash_of(render_book(scene, width, height)) + " " + book_caption(scene, random).text;
}

TEST(Book, DrawsTheSamePicturesOnEveryMachine) {
  EXPECT_EQ(
      picture_and_caption(1, 17, 128, 128),
      "d9fd73e82f356e1a A lovely little chopper rotates in a hot desert with golden dunes and red rocks far "
      "away. The camera pans to the right. A simple and friendly drawing.");
  EXPECT_EQ(
      picture_and_caption(2, 33, 160, 96),
      "351825b85a46c37c A frog wanders from left to right in a pine forest. Cut. The camera pans up as a "
      "small chick travels towards the left and a monkey walks from right to left in a meadow in the rain.");
  EXPECT_EQ(
      picture_and_caption(3, 9, 96, 160),
      "8806c0325fce1a01 The camera pans to the left as the large cyan triangle moves to the left in the deep "
      "sea.");
}

TEST(Book, HoldsOutOneCombinationInTenAndNeverShowsItInTraining) {
  int combinations = 0, held_out = 0;
  for (int noun = 0; noun < static_cast<int>(book_noun_names().size()); ++noun)
    for (int motion = 0; motion < static_cast<int>(book_motion_names().size()); ++motion)
      for (int place = 0; place < static_cast<int>(book_place_names().size()); ++place) {
        ++combinations;
        held_out += book_held_out(noun, motion, place);
      }
  EXPECT_NEAR(held_out, combinations / 10.0, combinations / 200.0);
  std::set<int> nouns, places;
  for (uint64_t i = 0; i < 4000; ++i)
    for (const bool held : {false, true})
      for (const auto& shot : scene_of(i, 33, held ? WorldSide::held_out : WorldSide::training).shots)
        for (const auto& thing : shot.things) {
          ASSERT_EQ(book_held_out(thing.noun, thing.motion, shot.place), held);
          nouns.insert(thing.noun), places.insert(shot.place);
        }
  EXPECT_EQ(nouns.size(), book_noun_names().size());
  EXPECT_EQ(places.size(), book_place_names().size());
}

// Names alone decide: new things do not change what is held out.
TEST(Book, HoldsOutByName) {
  const auto held = [](const std::string& noun, const std::string& motion, const std::string& place) {
    const auto shot = shot_of(noun, motion, place);
    return book_held_out(shot.things[0].noun, shot.things[0].motion, shot.place);
  };
  for (const auto& place : book_place_names())
    EXPECT_EQ(held("red star", "bouncing", place),
              world_held_out({world_index(world_shapes(), "star"), world_index(world_colours(), "red"),
                              world_index(world_motions(), "bouncing")}));
}

TEST(Book, EveryThingIsSeen) {
  for (uint64_t i = 0; i < 500; ++i) {
    const auto [width, height] = kSizes[i % kSizes.size()];
    const auto scene = scene_of(i, i % 3 == 0 ? 33 : i % 3 == 1 ? 17 : 9);
    for (const auto& shot : scene.shots)
      for (const auto& poses : book_poses(shot, width, height)) {
        const auto whole = std::count_if(poses.begin(), poses.end(), [&](const BookPose& pose) {
          const double reach = pose.size / 3;
          return pose.x > reach && pose.x < static_cast<double>(width) - reach && pose.y > reach &&
                 pose.y < static_cast<double>(height) - reach;
        });
        EXPECT_GE(whole * 5, shot.frames)
            << "scene " << i << ": " << book_scene_to_json(scene, width, height);
      }
  }
}

TEST(Book, ThingsChangeThePicture) {
  for (uint64_t i = 0; i < 40; ++i) {
    auto scene = scene_of(i, 9);
    const auto with = render_book(scene, 128, 128);
    EXPECT_LE(with.abs().max().item<double>(), 1 + 1e-5);
    for (auto& shot : scene.shots) shot.things.pop_back();
    const auto changed = (with - render_book(scene, 128, 128)).abs().amax(0).gt(0.1).sum().item<int64_t>();
    EXPECT_GT(changed, 9 * 36 * 36 / 8) << i;
  }
}

TEST(Book, SizesAreThoseOfOneAndOfTwo) {
  for (uint64_t i = 0; i < 500; ++i)
    for (const auto& shot : scene_of(i).shots) {
      auto still = shot;
      still.camera = BookCamera::still;
      for (const auto& poses : book_poses(still, 128, 128))
        for (const auto& pose : poses) {
          EXPECT_GE(pose.size, shot.things.size() == 1 ? 39.9 : 35.9);
          EXPECT_LE(pose.size, shot.things.size() == 1 ? 80.1 : 56.1);
        }
    }
}

TEST(Book, CutsLongClipsOnly) {
  int cut = 0;
  for (const int64_t frames : {1, 9, 17, 25, 33, 49, 81})
    for (uint64_t i = 0; i < 60; ++i) {
      const auto scene = scene_of(i, frames);
      EXPECT_EQ(scene.frames(), frames);
      int64_t first = 0;
      for (const auto& shot : scene.shots) {
        EXPECT_GE(shot.frames, std::min<int64_t>(frames, 8));
        if (first > 0) {
          EXPECT_EQ(first % 8, 1);
        }
        first += shot.frames;
      }
      if (frames <= 17) {
        EXPECT_EQ(scene.shots.size(), 1U);
      }
      cut += scene.shots.size() > 1;
    }
  EXPECT_NEAR(cut, 120, 30);
}

TEST(Book, AMotionMovesAsItIsCalled) {
  const auto ends = [](const std::string& motion, BookCamera camera = BookCamera::still) {
    auto shot = shot_of("cow", motion, "meadow");
    shot.camera = camera;
    const auto poses = book_poses(shot, 128, 128)[0];
    return std::pair{poses[4], poses[12]};
  };
  for (const auto camera : {BookCamera::still, BookCamera::pans_left, BookCamera::pans_right}) {
    EXPECT_GT(ends("moving left", camera).first.x, ends("moving left", camera).second.x + 12);
    EXPECT_LT(ends("moving right", camera).first.x, ends("moving right", camera).second.x - 12);
    EXPECT_GT(ends("hopping left", camera).first.x, ends("hopping left", camera).second.x + 12);
  }
  EXPECT_GT(ends("moving up").first.y, ends("moving up").second.y + 30);
  EXPECT_LT(ends("moving down").first.y, ends("moving down").second.y - 30);
  EXPECT_LT(ends("growing").first.size, ends("growing").second.size - 12);
  EXPECT_GT(ends("shrinking").first.size, ends("shrinking").second.size + 12);
  EXPECT_NEAR(ends("spinning").first.angle + 0.5, ends("spinning").second.angle, 1e-9);
  const auto [early, late] = ends("standing still");
  EXPECT_EQ(early.x, late.x);
  EXPECT_EQ(early.y, late.y);
  EXPECT_GT(ends("standing still", BookCamera::pans_right).first.x,
            ends("standing still", BookCamera::pans_right).second.x + 12);
  EXPECT_LT(ends("standing still", BookCamera::pans_up).first.y,
            ends("standing still", BookCamera::pans_up).second.y - 12);
  EXPECT_LT(ends("standing still", BookCamera::zooms_in).first.size,
            ends("standing still", BookCamera::zooms_in).second.size - 4);
}

TEST(Book, ThingsFaceWhereTheyGo) {
  const auto pose = [](const std::string& noun, const std::string& motion) {
    return book_poses(shot_of(noun, motion, "blue sky"), 128, 128)[0][8];
  };
  EXPECT_FALSE(pose("cow", "moving left").mirrored);
  EXPECT_TRUE(pose("cow", "moving right").mirrored);
  EXPECT_NEAR(pose("rocket", "moving up").angle, -0.125, 1e-6);
  EXPECT_NEAR(pose("rocket", "moving down").angle, 0.375, 1e-6);
  EXPECT_NEAR(pose("airplane", "moving right").angle, 0.125, 0.06);
  EXPECT_TRUE(pose("airplane", "moving left").mirrored);
  EXPECT_NEAR(std::abs(pose("airplane", "moving left").angle - 0.375), 0.5, 0.06);
}

TEST(Book, APlainColourIsPlain) {
  auto scene = BookScene{{shot_of("frog", "standing still", "teal")}};
  const auto video = render_book(scene, 128, 128);
  const auto rgb = world_background_rgb(world_index(world_backgrounds(), "teal"));
  for (int64_t c = 0; c < 3; ++c) {
    const auto row = video[c].slice(1, 0, 4);
    EXPECT_EQ(row.min().item<float>(), row.max().item<float>());
    EXPECT_NEAR(row.min().item<float>(), rgb[static_cast<std::size_t>(c)] / 127.5F - 1, 1e-6);
  }
}

TEST(Book, AThingLikeItsSurroundingsHasALineAroundIt) {
  const auto dark = [](const std::string& noun, const std::string& place) {
    const auto frame = render_book(BookScene{{shot_of(noun, "standing still", place, 1)}}, 128, 128)
                           .select(1, 0);
    const auto line = at::tensor({44, 44, 60}).to(at::kFloat).view({3, 1, 1}) / 127.5 - 1;
    return (frame - line).abs().amax(0).lt(0.2).sum().item<int64_t>();
  };
  EXPECT_GT(dark("snowman", "white"), dark("snowman", "navy") + 60);
  EXPECT_LE(dark("strawberry", "white"), dark("strawberry", "navy"));
}

TEST(Book, EverythingIsDrawnAtAnySize) {
  for (const auto& [width, height] : kSizes)
    for (int place = 0; place < static_cast<int>(book_place_names().size()); ++place) {
      auto shot = shot_of("airplane", "circling", book_place_names()[place], 3);
      shot.camera = BookCamera::zooms_out;
      shot.weather = place % 2 == 0 ? BookWeather::rain : BookWeather::snow;
      const auto video = render_book(BookScene{{shot}}, width, height);
      EXPECT_EQ(video.sizes().vec(), (std::vector<int64_t>{3, 3, height, width}));
      EXPECT_TRUE(video.isfinite().all().item<bool>());
    }
}

}  // namespace
}  // namespace t2v
