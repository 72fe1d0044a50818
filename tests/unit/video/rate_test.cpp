#include <cmath>

#include "media_files.h"
#include "video/frame_rate.h"

namespace t2v::test {
namespace {

// The times of `count` pictures at `fps`, rounded to milliseconds as Matroska does.
std::vector<double> rounded_times(int count, double fps) {
  std::vector<double> times;
  for (int i = 0; i < count; ++i) times.push_back(std::round(i / fps * 1000) / 1000);
  return times;
}

void expect_rate(const Rational& rate, int numerator, int denominator) {
  EXPECT_EQ(rate.numerator, numerator);
  EXPECT_EQ(rate.denominator, denominator);
}

TEST(ChooseRate, TakesTheFirstThatLosesNoPicture) {
  expect_rate(choose_rate(rounded_times(900, 30000.0 / 1001), {{30000, 1001}, {30, 1}}), 30000, 1001);
  expect_rate(choose_rate({0, 0.1, 0.2, 1.2, 1.3}, {{5, 2}, {10, 1}}), 10, 1);  // the average loses two
  expect_rate(choose_rate({0, 0.033, 0.067, 0.2, 0.233}, {{0, 1}, {30, 1}}), 30, 1);
}

TEST(ChooseRate, IsNoFinerThanTheShortestDistance) {
  expect_rate(choose_rate({0, 0.04, 0.08, 0.3}, {{10, 1}, {100, 1}}), 25, 1);
  expect_rate(choose_rate({0, 0.001, 0.1}, {{20, 1}, {1000, 1}}), 60, 1);
  expect_rate(choose_rate(rounded_times(100, 240), {{240, 1}}), 240, 1);
}

TEST(ChooseRate, WithoutTimesItIsTheFirstThatIsKnown) {
  expect_rate(choose_rate({}, {{0, 1}, {25, 1}}), 25, 1);
  expect_rate(choose_rate({3}, {{16, 1}, {1000, 1}}), 16, 1);
  expect_rate(choose_rate({}, {}), 0, 1);
}

// The red, green and blue of each frame's first pixel, as letters.
std::string colours_of(VideoReader& reader) {
  std::string letters;
  while (const auto frame = reader.read())
    letters += frame->rgb[0] > 128 ? 'r' : frame->rgb[1] > 128 ? 'g' : frame->rgb[2] > 128 ? 'b' : '-';
  return letters;
}

TEST(VariableRate, IsBroughtToAConstantOneWithALine) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.gif", gif_bytes({{1, 10}, {2, 40}, {3, 10}, {1, 30}}));
  const auto reader = open_video(folder / "a.gif");
  EXPECT_FALSE(reader->info().constant_rate);
  EXPECT_EQ(colours_of(*reader), "rggggbrrr");
  expect_rate(reader->info().fps, 10, 1);
  ASSERT_EQ(reader->info().notes.size(), 1U);
  EXPECT_EQ(reader->info().notes[0],
            "has a variable frame rate: brought to 10 frames per second by moving, repeating and leaving out "
            "pictures");
}

TEST(VariableRate, PicturesThatAreMovedAreSaid) {
  EXPECT_TRUE(is_constant({0, 0.04, 0.08, 0.13, 0.17, 0.21}, {24, 1}));
  EXPECT_FALSE(is_constant({0, 0.1, 1.0 / 6, 0.2, 0.3, 1.0 / 3, 0.4}, {14, 1}));  // of 30, two of three and
                                                                                  // five
  EXPECT_FALSE(is_constant({0, 0.1, 0.3}, {10, 1}));
}

TEST(VariableRate, FramesKnowTheirTime) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.gif", gif_bytes({{1, 10}, {2, 40}, {3, 10}}));
  const auto variable = open_video(folder / "a.gif");
  for (int i = 0; const auto frame = variable->read(); ++i) EXPECT_NEAR(frame->time, i / 10.0, 1e-9);
  write_all(options_for(folder / "a.y4m", patches(), {25, 2}), {3, patches()});
  const auto constant = open_video(folder / "a.y4m");
  for (int i = 0; const auto frame = constant->read(); ++i) EXPECT_NEAR(frame->time, i / 12.5, 1e-9);
}

TEST(VariableRate, UnevenStepsOfAConstantRateAreNone) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.gif", gif_bytes({{1, 3}, {2, 3}, {3, 4}, {1, 3}, {2, 3}, {3, 4}}));
  const auto reader = open_video(folder / "a.gif");
  EXPECT_EQ(colours_of(*reader), "rgbrgb");
  EXPECT_TRUE(reader->info().constant_rate);
  EXPECT_TRUE(reader->info().notes.empty());
}

TEST(VariableRate, DroppedPicturesOfACameraAreRepeated) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  for (const std::string name : {"a.mp4", "a.mkv"}) {
    const TemporaryFolder folder;
    ffmpeg(folder,
           "-f lavfi -i testsrc=s=64x48:r=30:d=3 -vf \"select='not(between(n,20,40)+eq(mod(n,7),3))'\" "
           "-vsync vfr "
           "-c:v libx264 -pix_fmt yuv420p " +
               name);
    const auto reader = open_video(folder / name);
    int frames = 0;
    while (reader->read()) ++frames;
    EXPECT_EQ(frames, 90) << name;
    expect_rate(reader->info().fps, 30, 1);
    EXPECT_FALSE(reader->info().constant_rate);
  }
}

TEST(VariableRate, RepeatedFramesCountForTheLimit) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.gif", gif_bytes({{1, 2}, {2, 50000}, {3, 2}}));
  expect_error(ErrorKind::bad_input, {"more than 100 frames"}, [&] {
    const auto reader = open_video(folder / "a.gif", {.frames = 100});
    while (reader->read()) {
    }
  });
}

TEST(VariableRate, AClockThatLeapsOrIsSetBackGoesOn) {
  if (!has_ffmpeg()) GTEST_SKIP() << "needs ffmpeg";
  const TemporaryFolder folder;
  ffmpeg(folder,
         "-f lavfi -i testsrc=s=64x48:r=25:d=1 -c:v libx264 -bf 0 first.ts && ffmpeg -v error -y -i first.ts "
         "-c copy "
         "-output_ts_offset 5000 second.ts && cat first.ts second.ts first.ts > joined.ts");
  const auto reader = open_video(folder / "joined.ts");
  int frames = 0;
  while (reader->read()) ++frames;
  EXPECT_NEAR(frames, 75, 3);
}

}  // namespace
}  // namespace t2v::test
