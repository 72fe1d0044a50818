#include "pipeline/plan/sizes.h"

#include <gtest/gtest.h>

#include "errors.h"

namespace t2v {
namespace {

TEST(SizeForAspect, FindsTheTrainedSizesOfTheShippedModel) {
  const int64_t area = 64 * 64;
  EXPECT_EQ(size_for_aspect(16.0 / 9, area, 16), (PixelSize{80, 48}));
  EXPECT_EQ(size_for_aspect(9.0 / 16, area, 16), (PixelSize{48, 80}));
  EXPECT_EQ(size_for_aspect(1, area, 16), (PixelSize{64, 64}));
  EXPECT_EQ(size_for_aspect(21.0 / 9, area, 16), (PixelSize{112, 48}));
}

TEST(SizeForAspect, StaysNearRatioAndAreaAtFullSize) {
  const int64_t area = 832 * 480;
  for (const double aspect : {16.0 / 9, 9.0 / 16, 4.0 / 3, 3.0 / 4, 1.0, 21.0 / 9, 2.39}) {
    const auto size = size_for_aspect(aspect, area, 16);
    EXPECT_EQ(size.width % 16, 0);
    EXPECT_EQ(size.height % 16, 0);
    EXPECT_NEAR(static_cast<double>(size.width) / static_cast<double>(size.height) / aspect, 1, 0.02);
    EXPECT_NEAR(static_cast<double>(size.width * size.height) / static_cast<double>(area), 1, 0.06);
  }
}

TEST(SizeForAspect, GivesAtLeastOneMultipleOnEachSide) {
  const auto size = size_for_aspect(20, 16 * 16, 16);
  EXPECT_GE(size.width, 16);
  EXPECT_EQ(size.height, 16);
}

TEST(FloorToMultiple, RoundsDownToAtLeastOneMultiple) {
  EXPECT_EQ(floor_to_multiple({850, 479}, 16), (PixelSize{848, 464}));
  EXPECT_EQ(floor_to_multiple({848, 464}, 16), (PixelSize{848, 464}));
  EXPECT_EQ(floor_to_multiple({5, 15}, 16), (PixelSize{16, 16}));
}

TEST(RoundFrames, GivesOneAndMultiplesOfTheRatio) {
  const std::vector<std::pair<int64_t, int64_t>> cases = {
      {1, 1}, {2, 1}, {3, 1}, {4, 5}, {5, 5}, {6, 5}, {16, 17}, {17, 17}, {18, 17}, {20, 21}, {81, 81}};
  for (const auto& [frames, rounded] : cases) EXPECT_EQ(round_frames(frames, 4), rounded) << frames;
  EXPECT_EQ(round_frames(18, 1), 18);
}

TEST(ParseSize, ReadsPixels) {
  EXPECT_EQ(parse_size("832x480", "--size"), (PixelSize{832, 480}));
  EXPECT_EQ(parse_size("16384X1", "--size"), (PixelSize{16384, 1}));
}

TEST(ParseSize, RefusesEverythingElseNamingTheSetting) {
  for (const char* text :
       {"", "x", "832", "832x", "x480", "0x480", "832x-480", "832.5x480", "832x480x3", " 832x480",
        "832 x 480", "+832x480", "16385x16", "99999999999999999999x1", "0x1p3"})
    test::expect_error(ErrorKind::usage, {"--resize", "'" + std::string(text) + "'"},
                       [&] { parse_size(text, "--resize"); });
}

TEST(ParseAspect, ReadsRatios) {
  EXPECT_DOUBLE_EQ(parse_aspect("16:9", "--aspect"), 16.0 / 9);
  EXPECT_DOUBLE_EQ(parse_aspect("2.39:1", "--aspect"), 2.39);
  EXPECT_DOUBLE_EQ(parse_aspect("1.78", "--aspect"), 1.78);
  EXPECT_DOUBLE_EQ(parse_aspect("1:20", "--aspect"), 0.05);
}

TEST(ParseAspect, RefusesEverythingElse) {
  for (const char* text : {"", ":", "16:", ":9", "0:1", "16:0", "a:b", "-16:9", "-16:-9", "21:1", "1:21",
                           "nan", "inf", "inf:inf", "16:9:1", "16x9", "16 : 9"})
    test::expect_error(ErrorKind::usage, {"--aspect", "'" + std::string(text) + "'"},
                       [&] { parse_aspect(text, "--aspect"); });
}

}  // namespace
}  // namespace t2v
