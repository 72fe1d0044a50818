#include "pipeline/frames.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "errors.h"
#include "golden.h"
#include "pipeline/latents_file.h"

namespace t2v {
namespace {

TEST(ToFrames, RoundsToTheNearestLevelAndClamps) {
  const auto level = [](double x) {
    return static_cast<int>(to_frames(at::full({3, 1, 1, 1}, x)).at(0).rgb.at(0));
  };
  EXPECT_EQ(level(-1), 0);
  EXPECT_EQ(level(1), 255);
  EXPECT_EQ(level(-1.5), 0);
  EXPECT_EQ(level(3), 255);
  EXPECT_EQ(level(2 * (100.4 / 255) - 1), 100);
  EXPECT_EQ(level(2 * (100.6 / 255) - 1), 101);
  EXPECT_EQ(level(0), 128);  // 127.5, a tie, to the even level
}

TEST(ToFrames, LaysOutPixelsRowByRow) {
  const auto levels = at::arange(3 * 2 * 4 * 5).view({3, 2, 4, 5}).to(at::kFloat);  // [3, T, H, W]
  const auto frames = to_frames(levels / 127.5 - 1);
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[1].width, 5);
  EXPECT_EQ(frames[1].height, 4);
  for (std::size_t y = 0; y < 4; ++y)
    for (std::size_t x = 0; x < 5; ++x)
      for (std::size_t c = 0; c < 3; ++c)
        EXPECT_EQ(frames[1].rgb[(y * 5 + x) * 3 + c], c * 40 + 20 + y * 5 + x);
}

TEST(ToFrames, UndoesFromFrames) {
  Frame frame{16, 16, {}};
  for (int i = 0; i < 256; ++i)
    frame.rgb.insert(frame.rgb.end(),
                     {static_cast<uint8_t>(i), static_cast<uint8_t>(255 - i), static_cast<uint8_t>(i / 2)});
  const auto tensor = from_frames({frame, frame});
  EXPECT_EQ(tensor.sizes(), (std::vector<int64_t>{3, 2, 16, 16}));
  EXPECT_EQ(tensor.min().item<float>(), -1);
  EXPECT_EQ(tensor.max().item<float>(), 1);
  EXPECT_EQ(to_frames(tensor).at(1).rgb, frame.rgb);
}

TEST(ToFrames, RefusesWhatIsNotFinite) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto frames = at::zeros({3, 2, 4, 4});
    frames[1][1][2][3] = value;
    test::expect_error(ErrorKind::non_finite, {"decoding", "NaN"}, [&] { to_frames(frames); });
  }
}

TEST(ToRational, KnowsWholeNumbersAndNtsc) {
  const std::vector<std::tuple<double, int, int>> cases = {
      {24, 24, 1},           {8, 8, 1},
      {23.976, 24000, 1001}, {29.97, 30000, 1001},
      {59.94, 60000, 1001},  {24000.0 / 1001, 24000, 1001},
      {12.5, 25, 2},         {0.1, 1, 10},
      {14.985, 15000, 1001}, {7.125, 57, 8},
      {25.0 / 3, 25, 3},     {100.0 / 7, 100, 7},
      {2.0 / 7, 2, 7},       {12.345678, 6172839, 500000}};
  for (const auto& [fps, numerator, denominator] : cases) {
    const auto rational = to_rational(fps);
    EXPECT_EQ(rational.numerator, numerator) << fps;
    EXPECT_EQ(rational.denominator, denominator) << fps;
  }
}

TEST(LatentsFile, GivesBackWhatWasSaved) {
  const test::TemporaryFolder folder;
  const auto latents = test::random_normal({4, 3, 2, 5}, 1);
  save_latents(folder / "latents.safetensors", latents, {{"t2v", "{}"}});
  EXPECT_TRUE(at::equal(read_latents(folder / "latents.safetensors", {1, 4, 3, 2, 5}), latents));
  EXPECT_TRUE(at::equal(read_latents(folder / "latents.safetensors", {1, 4, -1, -1, -1}), latents));
}

TEST(LatentsFile, RefusesWhatTheSamplerCannotUse) {
  const test::TemporaryFolder folder;
  const auto path = folder / "latents.safetensors";
  const auto refused = [&](const std::string& name, const at::Tensor& tensor,
                           const std::vector<std::string>& parts) {
    save_safetensors(path, {{name, tensor}});
    auto named = parts;
    named.push_back(path.string());
    test::expect_error(ErrorKind::bad_input, named, [&] { read_latents(path, {1, 4, -1, 2, 2}); });
  };
  refused("noise", at::zeros({1, 4, 1, 2, 2}), {"'latents'"});
  refused("latents", at::zeros({1, 4, 1, 2, 3}), {"[1, 4, any, 2, 2]", "[1, 4, 1, 2, 3]"});
  refused("latents", at::zeros({4, 1, 2, 2}), {"[4, 1, 2, 2]"});
  refused("latents", at::zeros({1, 4, 0, 2, 2}), {"[1, 4, 0, 2, 2]"});
  refused("latents", at::zeros({1, 4, 1, 2, 2}, at::kLong), {"floating-point"});
  refused("latents", at::full({1, 4, 1, 2, 2}, std::numeric_limits<double>::infinity()), {"NaN or infinity"});
}

}  // namespace
}  // namespace t2v
