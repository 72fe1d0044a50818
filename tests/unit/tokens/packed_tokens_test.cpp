#include "tokens/packed_tokens.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "device.h"
#include "errors.h"
#include "golden.h"

namespace t2v {
namespace {

TEST(Patchify, IsUndoneByUnpatchify) {
  for (const auto& patch :
       {PatchSize{1, 2, 2}, PatchSize{1, 1, 1}, PatchSize{2, 2, 2}, PatchSize{1, 4, 2}, PatchSize{3, 1, 4}}) {
    const auto latents = test::random_here({5, 6, 8, 12}, 1);
    const auto grid = token_grid(latents.sizes(), patch);
    const auto values = patchify(latents, patch);
    EXPECT_EQ(values.sizes(), (std::vector<int64_t>{grid.count(), 5 * patch.volume()}));
    EXPECT_TRUE(at::equal(unpatchify(values, grid, patch), latents));
  }
}

TEST(Patchify, OrdersTokensByTimeRowColumnAndValuesByChannel) {
  // The value at (c, t, h, w) is 1000 c + 100 t + 10 h + w.
  const auto axis = [](int64_t size, int64_t step) { return test::here(at::arange(size)) * step; };
  const auto latents = (axis(2, 1000).view({2, 1, 1, 1}) + axis(2, 100).view({2, 1, 1}) +
                        axis(4, 10).view({4, 1}) + axis(6, 1))
                           .to(at::kFloat);
  const auto values = patchify(latents, {1, 2, 2});  // grid 2 x 2 x 3
  EXPECT_TRUE(
      at::equal(values[0], test::here(at::tensor({0.F, 1.F, 10.F, 11.F, 1000.F, 1001.F, 1010.F, 1011.F}))));
  EXPECT_TRUE(at::equal(values[1], values[0] + 2));    // next column
  EXPECT_TRUE(at::equal(values[3], values[0] + 20));   // next row
  EXPECT_TRUE(at::equal(values[6], values[0] + 100));  // next frame
}

TEST(TokenGrid, RefusesSizesThatDoNotDivide) {
  const auto refused = [](const std::vector<int64_t>& shape, const PatchSize& patch) {
    test::expect_error(ErrorKind::usage, {"do not divide into patches"}, [&] { token_grid(shape, patch); });
  };
  refused({4, 3, 5, 6}, {1, 2, 2});
  refused({4, 3, 6, 5}, {1, 2, 2});
  refused({4, 3, 6, 6}, {2, 2, 2});
}

std::vector<Clip> two_clips() {
  return {{test::random_here({4, 3, 4, 6}, 1), at::tensor(std::vector<int64_t>{1, 0, 1}).to(at::kBool)},
          {test::random_here({4, 1, 8, 2}, 2), {}}};
}

TEST(Pack, GivesOneSegmentForEachClipAndBranch) {
  const auto clips = two_clips();
  const auto tokens = pack(clips, {1, 2, 2}, 2);
  EXPECT_EQ(tokens.segments, (std::vector<int64_t>{0, 18, 22, 40, 44}));
  EXPECT_EQ(tokens.segment_count(), 4);
  EXPECT_TRUE(at::equal(tokens.values.slice(0, 0, 18), patchify(clips[0].latents, {1, 2, 2})));
  EXPECT_TRUE(at::equal(tokens.values.slice(0, 18, 22), patchify(clips[1].latents, {1, 2, 2})));
  EXPECT_TRUE(at::equal(tokens.values.slice(0, 22), tokens.values.slice(0, 0, 22)));
  EXPECT_TRUE(tokens.timesteps.eq(0).all().item<bool>());
}

TEST(Pack, NumbersPositionsWithinEachClip) {
  const auto positions = pack(two_clips(), {1, 2, 2}).positions;
  const auto at_token = [&](int64_t token) {
    return std::vector<int64_t>{positions[token][0].item<int64_t>(), positions[token][1].item<int64_t>(),
                                positions[token][2].item<int64_t>()};
  };
  EXPECT_EQ(at_token(0), (std::vector<int64_t>{0, 0, 0}));
  EXPECT_EQ(at_token(2), (std::vector<int64_t>{0, 0, 2}));
  EXPECT_EQ(at_token(3), (std::vector<int64_t>{0, 1, 0}));
  EXPECT_EQ(at_token(17), (std::vector<int64_t>{2, 1, 2}));
  EXPECT_EQ(at_token(18), (std::vector<int64_t>{0, 0, 0}));  // the second clip
  EXPECT_EQ(at_token(21), (std::vector<int64_t>{0, 3, 0}));
}

TEST(Pack, KnowsTheTokensOfKnownFrames) {
  const auto known = pack(two_clips(), {1, 2, 2}, 2).known;
  const auto expected = at::cat({at::ones({6}), at::zeros({6}), at::ones({6}), at::zeros({4})}).to(at::kBool);
  EXPECT_TRUE(at::equal(known, at::cat({expected, expected}).unsqueeze(1).expand({44, 4})));
  EXPECT_FALSE(pack({{test::random_here({4, 1, 2, 2}, 1), {}}}, {1, 2, 2}).known.defined());
}

TEST(Pack, KnowsAPatchOnlyWhenAllItsFramesAreKnown) {
  const auto tokens = pack(
      {{test::random_here({4, 4, 2, 2}, 1), at::tensor(std::vector<int64_t>{1, 1, 1, 0}).to(at::kBool)}},
      {2, 2, 2});
  EXPECT_TRUE(at::equal(tokens.known.all(1), at::tensor(std::vector<int64_t>{1, 0}).to(at::kBool)));
  EXPECT_TRUE(at::equal(tokens.known.sum(1), at::tensor(std::vector<int64_t>{8, 4})));
}

TEST(Pack, KnowsCellsOfATokenInPart) {
  auto cells = at::zeros({1, 4, 2}, at::kBool);
  cells[0][0][1] = true;
  cells[0].slice(0, 2).fill_(true);
  const auto tokens = pack({{test::random_here({4, 1, 4, 2}, 1), cells}}, {1, 2, 2});
  EXPECT_TRUE(at::equal(tokens.known.to(at::kLong),
                        at::tensor(std::vector<int64_t>{0, 1, 0, 0, 1, 1, 1, 1}).view({2, 4})));
  EXPECT_TRUE(at::equal(tokens.level_of_token.cpu(), at::tensor(std::vector<int64_t>{0, 1})));
  EXPECT_FALSE(
      pack({{test::random_here({4, 1, 4, 2}, 1), cells}}, {1, 2, 2}, 1, false).level_of_token.defined());
}

TEST(SetTimestep, LeavesKnownTokensAtZero) {
  auto tokens = pack(two_clips(), {1, 2, 2}, 2);
  set_timestep(tokens, 875);
  const auto levels = tokens.timesteps.index_select(0, tokens.level_of_token).cpu();
  const auto known = tokens.known.all(1);
  EXPECT_TRUE(levels.masked_select(known).eq(0).all().item<bool>());
  EXPECT_TRUE(levels.masked_select(known.logical_not()).eq(875).all().item<bool>());
  auto free = pack({{test::random_here({4, 1, 2, 2}, 1), {}}}, {1, 2, 2});
  set_timestep(free, 3);
  EXPECT_EQ(free.timesteps.item<double>(), 3);
}

TEST(SetTimesteps, NamesEachLevelOnce) {
  auto tokens = pack({{test::random_here({4, 1, 2, 8}, 1), {}}}, {1, 2, 2});
  const auto wanted = at::tensor({5.0F, 900.0F, 5.0F, 40.5F});
  set_timesteps(tokens, wanted);
  EXPECT_EQ(tokens.timesteps.numel(), 3);
  EXPECT_TRUE(at::equal(tokens.timesteps.index_select(0, tokens.level_of_token).cpu(), wanted));
  set_timesteps(tokens, at::full({4}, 7.0F));
  EXPECT_EQ(tokens.timesteps.item<float>(), 7);
  EXPECT_FALSE(tokens.level_of_token.defined());
}

TEST(SegmentsOf, AreThoseSegmentsByThemselves) {
  auto tokens = pack(two_clips(), {1, 2, 2}, 2);
  tokens.text_segments = {0, 6, 18, 22, 40, 44};
  tokens.texts = {4, 5, 6, 7, 7};
  const auto part = segments_of(tokens, 1, 3);
  EXPECT_EQ(part.segments, (std::vector<int64_t>{0, 4, 22}));
  EXPECT_EQ(part.text_segments, part.segments);
  EXPECT_EQ(part.texts, (std::vector<int64_t>{6, 7}));
  EXPECT_TRUE(at::equal(part.values, tokens.values.slice(0, 18, 40)));
  EXPECT_TRUE(at::equal(part.known, tokens.known.slice(0, 18, 40)));
  EXPECT_TRUE(at::equal(part.level_of_token, tokens.level_of_token.slice(0, 18, 40)));
  EXPECT_EQ(segments_of(tokens, 0, 1).texts, (std::vector<int64_t>{4, 5}));
}

}  // namespace
}  // namespace t2v
