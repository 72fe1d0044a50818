#include "pipeline/plan/windows.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "golden.h"
#include "models/wan/wan_vae.h"
#include "weights.h"

namespace t2v {
namespace {

std::vector<int64_t> numbers_of(const std::vector<Window>& windows) {
  std::vector<int64_t> numbers;
  for (const auto& window : windows)
    numbers.insert(numbers.end(), {window.begin, window.context, window.kept});
  return numbers;
}

// Of a clip of one shot.
std::vector<Window> windows_of_clip(int64_t frames, int64_t window, int64_t overlap) {
  return windows_of({Shot{.begin = 0, .frames = frames}}, window, overlap, 4);
}

TEST(WindowsOf, OneWhereItIsEnough) {
  EXPECT_EQ(numbers_of(windows_of_clip(17, 17, 5)), (std::vector<int64_t>{0, 0, 17}));
  EXPECT_EQ(numbers_of(windows_of_clip(5, 17, 5)), (std::vector<int64_t>{0, 0, 5}));
}

TEST(WindowsOf, EachGoesOnFromTheLastFramesOfTheOneBefore) {
  EXPECT_EQ(numbers_of(windows_of_clip(41, 17, 5)), (std::vector<int64_t>{0, 0, 17, 12, 5, 17, 24, 5, 17}));
}

TEST(WindowsOf, TheLastIsFilledWithMoreOfTheOneBefore) {
  EXPECT_EQ(numbers_of(windows_of_clip(33, 17, 5)), (std::vector<int64_t>{0, 0, 17, 12, 5, 17, 16, 13, 17}));
}

// As a pipeline does it that hands on latents: 97 frames are 25 latents, of which 5 are shared.
TEST(WindowsOf, TheLastIsShorterWhereItIsNotFilled) {
  const auto windows_of_clip = [](int64_t frames) {
    return windows_of({Shot{.begin = 0, .frames = frames}}, 97, 17, 4, /*fill=*/false);
  };
  EXPECT_EQ(numbers_of(windows_of_clip(257)), (std::vector<int64_t>{0, 0, 97, 80, 17, 97, 160, 17, 97}));
  const auto windows = windows_of_clip(201);
  EXPECT_EQ(numbers_of(windows), (std::vector<int64_t>{0, 0, 97, 80, 17, 97, 160, 17, 41}));
  EXPECT_EQ(windows.front().frames, 97);
  EXPECT_EQ(windows.back().frames, 41);
  EXPECT_EQ(windows_of_clip(49).size(), 1U);
}

TEST(WindowsOf, EveryFrameIsNewInOneWindow) {
  for (const int64_t frames : {5, 17, 21, 25, 33, 81, 241})
    for (const auto& [window, overlap] : {std::pair<int64_t, int64_t>{17, 5}, {17, 1}, {17, 13}, {33, 9}}) {
      int64_t made = 0;
      for (const auto& part : windows_of_clip(frames, window, overlap)) {
        EXPECT_EQ(part.begin + part.context, made);
        EXPECT_GT(part.frames, part.context);
        EXPECT_EQ(part.context % 4, made == 0 ? 0 : 1);
        made = part.begin + part.frames;
      }
      EXPECT_EQ(made, frames);
    }
}

TEST(WindowsOf, ACutBeginsAnewAndABlendGoesOn) {
  const auto windows = windows_of(
      {{.begin = 0, .frames = 20}, {.begin = 20, .frames = 16, .cut = true}, {.begin = 36, .frames = 10}}, 17,
      5, 4);
  EXPECT_EQ(numbers_of(windows), (std::vector<int64_t>{0, 0, 17, 4, 13, 16, 20, 0, 16, 31, 5, 15}));
  for (const auto& window : windows) EXPECT_EQ(window.frames, 17);
  EXPECT_EQ(windows[1].shot, 0U);
  EXPECT_EQ(windows[3].shot, 2U);
}

TEST(WindowsOf, EveryFrameOfEveryShotIsNewOnceAndHasItsContextInTheWindowBefore) {
  uint32_t random = 1;
  const auto below = [&](uint32_t count) {
    return random = random * 1664525 + 1013904223, (random >> 8) % count;
  };
  for (int i = 0; i < 300; ++i) {
    std::vector<Shot> shots;
    int64_t end = 0;
    for (uint32_t k = 0; k <= below(5); ++k) {
      shots.push_back({.begin = end, .frames = 1 + below(40), .cut = k > 0 && below(2) == 0});
      end += shots.back().frames;
    }
    int64_t made = 0, before = 0;
    for (const auto& window : windows_of(shots, 17, 5, 4)) {
      const auto& shot = shots[window.shot];
      EXPECT_EQ(window.begin + window.context, made);
      EXPECT_GT(window.kept, window.context);
      EXPECT_LE(window.kept, window.frames);
      EXPECT_LE(window.context, before);
      EXPECT_EQ(window.context % 4, made == 0 || (shot.cut && made == shot.begin) ? 0 : 1);
      EXPECT_GE(made, shot.begin);
      before = window.kept;
      made = window.begin + window.kept;
      EXPECT_LE(made, shot.begin + shot.frames);
    }
    EXPECT_EQ(made, end);
  }
}

TEST(WindowsFromEnd, EveryFrameIsShownOnceAndWhatIsHandedOnIsWholeLatents) {
  EXPECT_EQ(windows_from_end(17, 17, 5, 4).size(), 1U);
  for (const int64_t frames : {21, 25, 33, 81, 241})
    for (const auto& [size, overlap] :
         {std::pair<int64_t, int64_t>{17, 5}, {17, 1}, {17, 13}, {33, 9}, {9, 5}}) {
      SCOPED_TRACE(testing::Message() << frames << " frames, " << size << ", " << overlap);
      const auto windows = windows_from_end(frames, size, overlap, 4);
      int64_t begins = frames;  // of what is shown so far
      for (std::size_t i = 0; i < windows.size(); ++i) {
        const auto& window = windows[i];
        EXPECT_EQ(window.frames, std::min(size, frames));
        EXPECT_EQ(window.begin + window.kept, begins);
        EXPECT_LT(window.skipped, window.kept);
        EXPECT_EQ(window.kept + window.after, window.frames);
        EXPECT_EQ(window.begin % 4, 0);
        EXPECT_EQ(window.after % 4, 0);
        EXPECT_EQ(window.after > 0, i > 0);
        // The known frames are those from the second on of the window made before.
        if (i > 0) {
          EXPECT_EQ(window.begin + window.kept, windows[i - 1].begin + 1);
        }
        begins = window.begin + window.skipped;
      }
      EXPECT_EQ(begins, 0);
    }
}

TEST(WindowsOfLoop, EveryFrameIsShownOnceAtAWindowsEnd) {
  for (const int64_t frames : {8, 12, 16, 20, 40, 80, 240})
    for (const int64_t size : {9, 13, 17, 33}) {
      SCOPED_TRACE(testing::Message() << frames << " frames, windows of " << size);
      const auto windows = windows_of_loop(frames, size, 4);
      EXPECT_GE(windows.size(), 2U);
      int64_t end = 0;  // of what is shown so far
      for (const auto& window : windows) {
        EXPECT_EQ(window.frames, std::min(size, frames + 1));
        EXPECT_EQ(window.kept, window.frames);
        EXPECT_EQ(window.begin + window.skipped, end);
        EXPECT_GE(window.skipped, 1 + (window.frames - 1) / 8 * 4);
        EXPECT_EQ(window.skipped % 4, 1);
        end = window.begin + window.kept;
      }
      EXPECT_EQ(end, frames);
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
  const auto windows = windows_of_clip(29, 17, 5);
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

TEST_F(DecodeWindow, GivesTheBeginningThatTheWindowBeforeEndsWith) {
  const at::NoGradGuard no_grad;
  const auto latents = test::random_normal({vae_.config().z_dim, 5, 4, 4}, 1);
  const auto whole = vae_.decode(vae_.denormalise(latents));
  const auto windows = windows_from_end(29, 17, 5, 4);
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_TRUE(at::allclose(decode_beginning(vae_, latents, windows[1]), whole.slice(1, 1, 5)));
  std::vector<at::Tensor> parts;
  decode_window(vae_, latents, windows, 0, [&](const auto& part) { parts.push_back(part); });
  EXPECT_TRUE(at::equal(at::cat(parts, 1), whole.slice(1, 1)));
}

}  // namespace
}  // namespace t2v
