// The picture book's reader, with weights that are made for the purpose.
#include "world/book/reader.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <array>
#include <map>

#include "errors.h"
#include "world/book/evaluate.h"

namespace t2v {
namespace {

int noun(const std::string& name) { return world_index(book_noun_names(), name); }
int motion(const std::string& name) { return world_index(book_motion_names(), name); }

// All weights 0 but those that are set.
std::map<std::string, at::Tensor> zero_weights() {
  auto meta = Weights::meta();
  const BookReader reader({.width = 8}, meta.root());
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, shape] : meta.asked())
    tensors[name] = at::zeros(shape, at::TensorOptions(at::kFloat));
  return tensors;
}

BookReading read_with(const std::map<std::string, at::Tensor>& tensors) {
  auto weights = Weights::from_tensors(tensors);
  const BookReader reader({.width = 8}, weights.root());
  return read_book(reader, at::zeros({3, 17, 64, 64}));
}

TEST(BookReader, ReadsNothingWhereItIsNotSure) {
  const auto reading = read_with(zero_weights());
  EXPECT_TRUE(reading.things.empty());
  EXPECT_EQ(reading.place, -1);
  EXPECT_EQ(reading.camera, -1);
}

TEST(BookReader, ReadsWhatItsLayersSay) {
  auto tensors = zero_weights();
  // A coloured shape is what its colour and its shape have together.
  tensors.at("nouns.proj_out.bias")[1 + 64 + 7] = 9;      // cyan
  tensors.at("nouns.proj_out.bias")[1 + 64 + 8 + 0] = 9;  // circle
  tensors.at("motion.proj_out.bias")[motion("swaying")] = 9;
  tensors.at("place.proj_out.bias")[2] = 9;
  tensors.at("camera.proj_out.bias")[4] = 9;
  const auto reading = read_with(tensors);
  ASSERT_EQ(reading.things.size(), 1U);
  EXPECT_EQ(book_noun_names()[static_cast<std::size_t>(reading.things[0].noun)],
            world_colours()[7] + " " + world_shapes()[0]);
  EXPECT_EQ(reading.things[0].motion, motion("swaying"));
  EXPECT_GT(reading.things[0].motion_share, 0.99);
  EXPECT_EQ(reading.place, 2);
  EXPECT_EQ(reading.camera, 4);
}

TEST(BookReader, TakesClipsOfAnySizeAndLength) {
  auto meta = Weights::meta();
  const BookReader reader({.width = 8}, meta.root());
  for (const auto& [frames, width, height] :
       {std::array<int64_t, 3>{17, 128, 128}, {9, 192, 80}, {1, 64, 96}}) {
    const auto clip = at::empty({2, 3, frames, height, width},
                                at::TensorOptions(at::kFloat).device(at::kMeta));
    const auto sight = reader.look(clip);
    EXPECT_EQ(sight.nouns.sizes(),
              at::IntArrayRef({2, frames == 1 ? 1 : (frames + 1) / 2, 129, height / 8, width / 8}));
    EXPECT_EQ(sight.camera.sizes(), at::IntArrayRef({2, 7}));
    const auto nouns = at::zeros({2, 2}, at::TensorOptions(at::kLong).device(at::kMeta));
    EXPECT_EQ(reader.motions(sight, nouns).sizes(), at::IntArrayRef({2, 2, 14}));
  }
}

TEST(BookReader, OfAnotherVocabularyIsRefused) {
  auto config = book_reader_to_json({.width = 16});
  EXPECT_EQ(parse_book_reader_config(config, "config.json").width, 16);
  config["places"][0] = "the moon";
  test::expect_error(ErrorKind::bad_input, {"config.json", "'places'"},
                     [&] { parse_book_reader_config(config, "config.json"); });
}

TEST(BookReader, AClipIsRightWhenAllThatIsThereIsRead) {
  BookShot shot;
  shot.things.resize(2);
  shot.things[0].noun = noun("cat");
  shot.things[0].motion = motion("bouncing");
  shot.things[1].noun = noun("dog");
  shot.things[1].motion = motion("spinning");
  shot.place = 3;
  shot.camera = BookCamera::zooms_in;
  BookReading read;
  read.things = {{noun("dog"), motion("spinning"), 1, 1}, {noun("cat"), motion("bouncing"), 1, 1}};
  read.place = 3;
  read.camera = static_cast<int>(BookCamera::zooms_in);
  EXPECT_TRUE(compare_reading(shot, read).all());
  const auto without = [&](const auto& change) {
    auto other = read;
    change(other);
    return compare_reading(shot, other);
  };
  const auto one_missing = without([](auto& other) { other.things.pop_back(); });
  EXPECT_FALSE(one_missing.things);
  EXPECT_FALSE(one_missing.motions);
  EXPECT_TRUE(one_missing.place);
  const auto wrong_motion = without([](auto& other) { other.things[0].motion = -1; });
  EXPECT_TRUE(wrong_motion.things);
  EXPECT_FALSE(wrong_motion.motions);
  EXPECT_FALSE(without([](auto& other) { other.place = -1; }).all());
  EXPECT_FALSE(without([](auto& other) { other.camera = 0; }).all());
  shot.things.pop_back();
  EXPECT_FALSE(compare_reading(shot, read).things) << "a thing that is not there was read";
  auto untold = without([](auto& other) { other.things.pop_back(), other.camera = 0; });
  untold.things = true;
  EXPECT_FALSE(untold.all());
  untold.asks_camera = untold.asks_motions = false;
  EXPECT_TRUE(untold.all()) << "what its caption does not tell cannot be wrong";
}

}  // namespace
}  // namespace t2v
