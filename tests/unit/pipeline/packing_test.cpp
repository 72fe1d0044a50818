#include "pipeline/run/packing.h"

#include <gtest/gtest.h>

namespace t2v {
namespace {

using Packs = std::vector<std::vector<std::size_t>>;

TEST(MakePacks, FillsEachPackUpToTheBudget) {
  const std::vector<PackItem> items(7, {100, "unipc 20"});
  EXPECT_EQ(make_packs(items, 300, 1), (Packs{{0, 1, 2}, {3, 4, 5}, {6}}));
}

TEST(MakePacks, GivesEveryWorkerAShare) {
  const std::vector<PackItem> items(4, {100, "unipc 20"});
  EXPECT_EQ(make_packs(items, 1000, 2), (Packs{{0, 1}, {2, 3}}));
}

TEST(MakePacks, KeepsSchedulesApart) {
  const std::vector<PackItem> items = {
      {100, "unipc 20"}, {100, "ddim 20"}, {100, "unipc 20"}, {100, "ddim 20"}};
  EXPECT_EQ(make_packs(items, 1000, 1), (Packs{{0, 2}, {1, 3}}));
}

TEST(MakePacks, TakesClipsOfUnlikeLengthTogether) {
  const std::vector<PackItem> items = {{500, "a"}, {40, "a"}, {460, "a"}, {1, "a"}};
  EXPECT_EQ(make_packs(items, 1000, 1), (Packs{{0, 1, 2}, {3}}));
}

TEST(MakePacks, LeavesAloneWhatIsLargerThanTheBudgetOrAsksForIt) {
  const std::vector<PackItem> items = {{100, "a"}, {5000, "a"}, {100, "a", true}, {100, "a"}};
  EXPECT_EQ(make_packs(items, 1000, 1), (Packs{{0}, {1}, {2}, {3}}));
}

TEST(MakePacks, MakesNothingOfNothing) { EXPECT_TRUE(make_packs({}, 1000, 4).empty()); }

}  // namespace
}  // namespace t2v
