#include "pipeline/plan/memory.h"

#include <gtest/gtest.h>

#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

struct Shipped {
  std::unique_ptr<Model> model = open_model(open_model_folder(test::shipped_model()));
  ComponentSizes sizes = component_sizes(*model);
  RunShape shape(const std::vector<ClipSize>& clips, std::optional<int64_t> limit,
                 std::optional<int64_t> threads = 2) const {
    return shape_run(*model, sizes, at::kCPU, at::kFloat, clips, {.threads = threads, .memory = limit});
  }
  int64_t peak(const std::vector<ClipSize>& clips, const RunShape& shape) const {
    return estimate_memory(*model, sizes, at::kCPU, at::kFloat, clips, shape).peak;
  }
};

// Two guidance branches.
ClipSize square(int64_t side, int64_t frames) {
  return {side, side, frames, side, side, 2 * (side / 32) * (side / 32) * ((frames - 1) / 4 + 1)};
}

TEST(ParseBytes, ReadsSizesAsPeopleWriteThem) {
  EXPECT_EQ(parse_bytes("1000000", "--memory-limit"), 1'000'000);
  EXPECT_EQ(parse_bytes("2GB", "--memory-limit"), int64_t{2} << 30);
  EXPECT_EQ(parse_bytes("2 GiB", "--memory-limit"), int64_t{2} << 30);
  EXPECT_EQ(parse_bytes("1.5g", "--memory-limit"), int64_t{3} << 29);
  EXPECT_EQ(parse_bytes("800M", "--memory-limit"), int64_t{800} << 20);
  for (const char* text : {"", "GB", "2XB", "-1GB", "nan", "2GBB", "inf", "0"})
    test::expect_error(ErrorKind::usage, {"--memory-limit", "2GB"},
                       [&] { parse_bytes(text, "--memory-limit"); });
}

TEST(ShapeRun, DenoisesSmallClipsSideBySideAndLargeOnesOneByOne) {
  const Shipped model;
  EXPECT_EQ(model.shape({8, square(64, 17)}, std::nullopt).workers, 2U);
  const auto large = model.shape(std::vector<ClipSize>(2, square(256, 33)), std::nullopt);
  EXPECT_EQ(large.workers, 1U);
  EXPECT_EQ(large.pack_tokens, square(256, 33).tokens);
}

TEST(ShapeRun, StepsDownUntilTheRunStaysWithinTheLimit) {
  const Shipped model;
  const std::vector<ClipSize> clips(32, square(64, 17));
  const auto quickest = model.shape(clips, std::nullopt);
  const auto alone = model.peak({clips[0]}, {.pack_tokens = clips[0].tokens, .decode_chunk = 1});
  int64_t last = model.peak(clips, quickest);
  for (int64_t limit = last - 1; limit >= alone; limit = last - 1) {
    const auto shape = model.shape(clips, limit);
    last = model.peak(clips, shape);
    EXPECT_LE(last, limit);
  }
  EXPECT_LE(last, alone);
}

TEST(ShapeRun, RefusesWhatCannotFitAndNamesFlagsThatWould) {
  const Shipped model;
  const std::vector<ClipSize> clips = {square(64, 17), square(1024, 33)};
  const int64_t limit = int64_t{400} << 20;
  test::expect_error(ErrorKind::out_of_memory,
                     {"1024x1024", "33 frames", "limit of 400 MB", "--frames", "or --size"},
                     [&] { model.shape(clips, limit); });
  test::expect_error(ErrorKind::out_of_memory, {"nothing this model makes would fit"},
                     [&] { model.shape(clips, 1000); });
}

TEST(FittingFlags, FitInTurn) {
  const Shipped model;
  const auto flags = fitting_flags(*model.model, model.sizes, at::kCPU, at::kFloat, square(1024, 33),
                                   {.decode_chunk = 1}, int64_t{450} << 20);
  const auto size = flags.find("--size ");
  ASSERT_NE(size, std::string::npos) << flags;
  const int64_t side = std::stoll(flags.substr(size + 7));
  const auto fits = [&](int64_t pixels) {
    return model.peak({square(pixels, 33)}, {.pack_tokens = square(pixels, 33).tokens, .decode_chunk = 1}) <=
           int64_t{450} << 20;
  };
  EXPECT_TRUE(fits(side));
  EXPECT_FALSE(fits(side + 32));
}

}  // namespace
}  // namespace t2v
