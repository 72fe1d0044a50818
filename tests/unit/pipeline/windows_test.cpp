#include "pipeline/windows.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "models/wan_vae.h"
#include "weights.h"

namespace t2v {
namespace {

std::vector<int64_t> numbers_of(const std::vector<Window>& windows) {
  std::vector<int64_t> numbers;
  for (const auto& [begin, context, frames] : windows)
    numbers.insert(numbers.end(), {begin, context, frames});
  return numbers;
}

TEST(WindowsOf, OneWhereItIsEnough) {
  EXPECT_EQ(numbers_of(windows_of(17, 17, 5)), (std::vector<int64_t>{0, 0, 17}));
  EXPECT_EQ(numbers_of(windows_of(5, 17, 5)), (std::vector<int64_t>{0, 0, 5}));
}

TEST(WindowsOf, EachGoesOnFromTheLastFramesOfTheOneBefore) {
  EXPECT_EQ(numbers_of(windows_of(41, 17, 5)), (std::vector<int64_t>{0, 0, 17, 12, 5, 17, 24, 5, 17}));
}

TEST(WindowsOf, TheLastIsFilledWithMoreOfTheOneBefore) {
  EXPECT_EQ(numbers_of(windows_of(33, 17, 5)), (std::vector<int64_t>{0, 0, 17, 12, 5, 17, 16, 13, 17}));
}

TEST(WindowsOf, EveryFrameIsNewInOneWindow) {
  for (const int64_t frames : {5, 17, 21, 25, 33, 81, 241})
    for (const auto& [window, overlap] : {std::pair<int64_t, int64_t>{17, 5}, {17, 1}, {17, 13}, {33, 9}}) {
      int64_t made = 0;
      for (const auto& part : windows_of(frames, window, overlap)) {
        EXPECT_EQ(part.begin + part.context, made);
        EXPECT_GT(part.frames, part.context);
        EXPECT_EQ(part.context % 4, made == 0 ? 0 : 1);
        made = part.begin + part.frames;
      }
      EXPECT_EQ(made, frames);
    }
}

class DecodeWindow : public testing::Test {
 protected:
  Weights weights_ = test::tiny_weights("vae");
  WanVae vae_{parse_wan_vae_config(test::tiny_config("vae"), "config.json"), weights_.root()};
};

TEST_F(DecodeWindow, GivesTheNewFramesAndKeepsTheLastOnes) {
  const at::NoGradGuard no_grad;
  const auto latents = test::random_normal({vae_.config().z_dim, 5, 4, 4}, 1);
  const auto whole = vae_.decode(vae_.denormalise(latents));
  const auto windows = windows_of(29, 17, 5);
  for (const int64_t chunk : {1, 3}) {
    vae_.set_chunk(chunk);
    std::vector<at::Tensor> parts;
    const auto known = decode_window(vae_, latents, windows, 1,
                                     [&](const auto& part) { parts.push_back(part); });
    EXPECT_FALSE(known.defined());
    EXPECT_TRUE(at::equal(at::cat(parts, 1), whole.slice(1, 5)));
    const auto first = decode_window(vae_, latents, windows, 0, [](const auto&) {});
    EXPECT_TRUE(at::equal(first, whole.slice(1, 12)));
  }
}

}  // namespace
}  // namespace t2v
