#include "world/world.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <tuple>

#include "golden.h"

namespace t2v {
namespace {

WorldScene golden_scene(const SafetensorsFile& file, int64_t index) {
  const auto numbers = file.tensor("objects")[index];
  WorldScene scene;
  scene.background = file.tensor("backgrounds")[index].item<int>();
  for (int64_t i = 0; i < file.tensor("counts")[index].item<int64_t>(); ++i) {
    const auto value = [&](int64_t column) { return numbers[i][column].item<double>(); };
    const auto name = [&](int64_t column) { return static_cast<int>(value(column)); };
    scene.objects.push_back({name(0), name(1), name(2), name(3), value(4), value(5), value(6)});
  }
  return scene;
}

std::string describe(const WorldScene& scene) {
  std::string text = world_backgrounds()[scene.background];
  for (const auto& object : scene.objects)
    text += ", " + world_sizes()[object.size] + " " + world_colours()[object.colour] + " " +
            world_shapes()[object.shape] + " " + world_motions()[object.motion];
  return text;
}

TEST(World, DrawsTheReferencesPictures) {
  const auto file = test::open_golden("world.safetensors");
  const auto sizes = file->tensor("sizes"), places = file->tensor("places"),
             colours = file->tensor("colours");
  std::set<std::tuple<int, int, int>> seen;
  for (int64_t s = 0; s < sizes.size(0); ++s) {
    const auto scene = golden_scene(*file, s);
    const auto number = [&](int64_t column) { return sizes[s][column].item<int64_t>(); };
    const auto video = (render_world(scene, number(0), number(1), number(2)) + 1) * 127.5;
    const auto difference = (video.flatten(1).index_select(1, places[s]) - colours[s].to(at::kFloat))
                                .abs()
                                .max()
                                .item<double>();
    EXPECT_LE(difference, 1) << "scene " << s << ": " << describe(scene);
    for (const auto& object : scene.objects) seen.insert({object.shape, object.motion, object.size});
  }
  EXPECT_EQ(seen.size(), 3 * (8 * 10 - 2));  // all but spinning circles and rings
}

TEST(World, NeverShowsHeldOutTriplesInTraining) {
  WorldRandom random(1);
  for (int i = 0; i < 20000; ++i)
    for (const auto& object : sample_world_scene(random, WorldSide::training, {0.5}).objects)
      EXPECT_FALSE(world_held_out(object));
}

TEST(World, ShowsOnlyHeldOutTriplesOnTheHeldOutSide) {
  WorldRandom random(2);
  std::set<std::tuple<int, int, int>> seen;
  for (int i = 0; i < 20000; ++i)
    for (const auto& object : sample_world_scene(random, WorldSide::held_out, {0.5}).objects) {
      EXPECT_TRUE(world_held_out(object));
      seen.insert({object.colour, object.shape, object.motion});
    }
  int held_out = 0;
  for (int colour = 0; colour < 8; ++colour)
    for (int shape = 0; shape < 8; ++shape)
      for (int motion = 0; motion < 10; ++motion)
        held_out += world_motion_exists(shape, motion) && world_held_out({shape, colour, motion});
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(held_out));
}

TEST(World, SamplesEveryNameAndTheAskedShareOfTwoObjects) {
  WorldRandom random(3);
  std::map<std::string, int> count;
  int two = 0;
  constexpr int scenes = 8000;
  for (int i = 0; i < scenes; ++i) {
    const auto scene = sample_world_scene(random, WorldSide::any, {0.25});
    ++count["background " + world_backgrounds()[scene.background]];
    two += scene.objects.size() == 2;
    if (scene.objects.size() == 2) {
      EXPECT_NE(scene.objects[0].colour, scene.objects[1].colour);
    }
    for (const auto& object : scene.objects) {
      EXPECT_TRUE(world_motion_exists(object.shape, object.motion));
      if (scene.objects.size() == 2) {
        EXPECT_NE(world_sizes()[object.size], "large");
      }
      ++count[world_shapes()[object.shape]], ++count[world_colours()[object.colour]],
          ++count[world_motions()[object.motion]];
    }
  }
  EXPECT_EQ(count.size(), 6U + 8 + 8 + 10);
  for (const auto& [name, times] : count) EXPECT_GT(times, scenes / 16) << name;
  EXPECT_NEAR(two, scenes / 4, 160);
}

TEST(World, DrawsThingsAsOftenAsTheirWeightsSay) {
  WorldShares shares{
      .two_objects = 0, .shapes = std::vector<double>(8, 1), .motions = std::vector<double>(10, 1)};
  shares.shapes[world_index(world_shapes(), "star")] = 3;
  shares.motions[world_index(world_motions(), "bouncing")] = 0.5;
  std::map<std::string, double> share;
  WorldRandom random(3);
  constexpr int scenes = 20000;
  for (int i = 0; i < scenes; ++i) {
    const auto object = sample_world_scene(random, WorldSide::any, shares).objects.at(0);
    share[world_shapes()[object.shape]] += 1.0 / scenes;
    share[world_motions()[object.motion]] += 1.0 / scenes;
  }
  const double possible = 9.5 * 10 - 2;  // weights of all pairs: circles and rings do not spin
  EXPECT_NEAR(share["star"], 3 * 9.5 / possible, 0.02);
  EXPECT_NEAR(share["heart"], 9.5 / possible, 0.02);
  EXPECT_NEAR(share["bouncing"], 0.5 * 10 / possible, 0.01);
  EXPECT_NEAR(share["pulsing"], 10 / possible, 0.02);
}

TEST(World, DrawsSizesAsOftenAsTheirWeightsSay) {
  const WorldShares shares{.two_objects = 0.5, .sizes = {3, 1, 0.5}};
  std::map<std::pair<std::size_t, std::string>, double> count;
  std::map<std::size_t, double> objects;
  WorldRandom random(5);
  for (int i = 0; i < 20000; ++i) {
    const auto scene = sample_world_scene(random, WorldSide::any, shares);
    for (const auto& object : scene.objects) {
      ++count[{scene.objects.size(), world_sizes()[object.size]}];
      ++objects[scene.objects.size()];
    }
  }
  EXPECT_NEAR((count[{1, "small"}]) / objects[1], 3 / 4.5, 0.02);
  EXPECT_NEAR((count[{1, "large"}]) / objects[1], 0.5 / 4.5, 0.02);
  EXPECT_NEAR((count[{2, "small"}]) / objects[2], 3.0 / 4, 0.02);
  EXPECT_EQ((count[{2, "large"}]), 0);
}

TEST(World, CaptionsNameEverythingThatIsSeen) {
  WorldRandom random(4);
  std::set<std::string> captions;
  const WorldScene scene{{{4, 1, 7, 2}, {0, 4, 9, 0}}, 5};
  for (int i = 0; i < 400; ++i) captions.insert(world_caption(scene, random));
  EXPECT_EQ(captions.size(), 2U * 3 * 5);
  EXPECT_TRUE(captions.contains(
      "a large orange heart moving in a circle and a small blue circle still against beige"));
  EXPECT_TRUE(captions.contains(
      "beige background, a large orange heart circling and a small blue circle standing still"));
  const WorldScene orange{{{0, 1, 4, 1}}, 0};
  EXPECT_EQ(world_caption(orange, random).find("a orange"), std::string::npos);
}

TEST(WorldRandom, GivesTheSameNumbersOnEveryMachine) {
  WorldRandom random(7, 3);
  const std::vector<uint64_t> first{random.next(), random.next(), random.next()};
  EXPECT_EQ(first, (std::vector<uint64_t>{0xC4B5581D4DCD4C6Fu, 0xEC11CE1CAD61B3E7u, 0x6561E75A7D905043u}));
}

TEST(WorldRandom, StreamsOfOneSeedDiffer) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 40; ++seed)
    for (uint64_t stream = 0; stream < 40; ++stream) {
      WorldRandom random(seed, stream);
      for (int i = 0; i < 10; ++i) seen.insert(random.next());
    }
  EXPECT_EQ(seen.size(), 40U * 40 * 10);
}

}  // namespace
}  // namespace t2v
