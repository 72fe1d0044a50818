// Clips from pictures and videos: what is kept is kept to the last bit, what is new is new.
#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/json.h"
#include "bytes.h"
#include "expect.h"
#include "paths.h"
#include "video/read/decoder.h"
#include "video/write/encoder.h"

namespace t2v::test {

namespace {

namespace fs = std::filesystem;

constexpr const char* prompt = "a red circle moving right on a navy background";

// A red circle that moves right on navy.
Frame drawn(int index) {
  Frame frame{128, 128, std::vector<uint8_t>(128 * 128 * 3)};
  for (int y = 0; y < 128; ++y)
    for (int x = 0; x < 128; ++x) {
      const double inside = 24 - std::hypot(x - 32 - 2.6 * index, y - 64);  // antialiased rim
      const double red = std::clamp(inside + 0.5, 0.0, 1.0);
      auto* rgb = frame.rgb.data() + (y * 128 + x) * 3;
      rgb[0] = static_cast<uint8_t>(std::lround(220 * red));
      rgb[1] = static_cast<uint8_t>(std::lround(30 * red));
      rgb[2] = static_cast<uint8_t>(std::lround(30 * red + 100 * (1 - red)));
    }
  return frame;
}

class Tasks : public testing::Test {
 protected:
  Tasks() {
    for (int i = 0; i < 25; ++i) truth.push_back(drawn(i));
    write(video, 0, 17);
    write(folder / "first.png", 0, 1);
    write(folder / "last.png", 16, 17);
  }

  void write(const fs::path& path, std::size_t begin, std::size_t end) const {
    fs::create_directories(path.parent_path());
    const auto sink = open_encoder({.path = path.string(), .width = 128, .height = 128, .fps = {8, 1}});
    for (auto i = begin; i < end; ++i) sink->write(truth[i]);
    sink->finish();
  }

  // Frames of the clip that the program makes of these flags.
  std::vector<Frame> make(Arguments flags, const std::string& name = "clip", int64_t steps = 4) {
    const auto pattern = folder / name / "%03d.png";
    fs::create_directories(pattern.parent_path());
    Arguments arguments = {"generate",   asked,  "-m",      "world-128",
                           "--seed",     "3",    "--steps", std::to_string(steps),
                           "--progress", "none", "-o",      pattern.string()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const auto result = run_program(arguments);
    expect_done(result);
    said = result.err;
    return frames_of(pattern);
  }

  static std::vector<Frame> frames_of(const fs::path& path) {
    const auto reader = open_video(path);
    std::vector<Frame> frames;
    while (auto frame = reader->read()) frames.push_back(std::move(*frame));
    return frames;
  }

  void expect_truth(const std::vector<Frame>& clip, std::size_t at, std::size_t from,
                    std::size_t count) const {
    for (std::size_t i = 0; i < count; ++i)
      EXPECT_TRUE(clip.at(at + i).rgb == truth.at(from + i).rgb) << "frame " << at + i;
  }

  TemporaryFolder folder;
  fs::path video = folder / "in" / "%03d.png";
  std::vector<Frame> truth;
  std::string asked = prompt, said;
};

// Mean difference of a value, of 255, in columns begin to end - 1.
double distance(const Frame& a, const Frame& b, int begin = 0, int end = 128) {
  double sum = 0;
  for (int y = 0; y < 128; ++y)
    for (int i = 3 * begin; i < 3 * end; ++i)
      sum += std::abs(a.rgb[static_cast<std::size_t>(y * 384 + i)] -
                      b.rgb[static_cast<std::size_t>(y * 384 + i)]);
  return sum / (128.0 * 3 * (end - begin));
}

}  // namespace

TEST_F(Tasks, AnImageIsTheFirstFrame) {
  const auto clip = make({"--image", (folder / "first.png").string(), "--frames", "9"});
  ASSERT_EQ(clip.size(), 9U);
  expect_truth(clip, 0, 0, 1);
  EXPECT_FALSE(clip[1].rgb == truth[0].rgb);
  EXPECT_LT(distance(clip[1], truth[1]), 25);  // it goes on from there
}

TEST_F(Tasks, FirstAndLastImageAreTheEndsOfTheClip) {
  const auto clip = make({"--image", (folder / "first.png").string(), "--last-image",
                          (folder / "last.png").string(), "--frames", "17"});
  ASSERT_EQ(clip.size(), 17U);
  expect_truth(clip, 0, 0, 1);
  expect_truth(clip, 16, 16, 1);
  EXPECT_LT(distance(clip[15], truth[16]), distance(clip[1], truth[16]));
}

TEST_F(Tasks, ExtendKeepsTheVideoAndGoesOn) {
  const auto clip = make({"--extend", video.string(), "--frames", "8"});
  ASSERT_EQ(clip.size(), 25U);
  expect_truth(clip, 0, 0, 17);
  EXPECT_NE(said.find("17 frames at 8.0 per second"), std::string::npos) << said;
  const auto long_clip = make({"--extend", video.string(), "--seconds", "4"}, "long");
  EXPECT_EQ(long_clip.size(), 17U + 32U);
  expect_truth(long_clip, 0, 0, 17);
}

TEST_F(Tasks, ExtendBackwardPutsNewFramesBeforeTheVideo) {
  const auto clip = make({"--extend", video.string(), "--backward", "--frames", "9"});
  ASSERT_EQ(clip.size(), 26U);
  expect_truth(clip, 9, 0, 17);
}

TEST_F(Tasks, ExtendBackwardInWindowsIsMadeFromItsEnd) {
  const auto one = make({"--extend", video.string(), "--backward", "--frames", "13"}, "one", 20);
  const auto three = make({"--extend", video.string(), "--backward", "--frames", "29"}, "three", 20);
  EXPECT_NE(said.find("33 frames are made in 3 windows of 17 frames, from the last to the first"),
            std::string::npos)
      << said;
  ASSERT_EQ(one.size(), 13U + 17U);
  ASSERT_EQ(three.size(), 29U + 17U);
  expect_truth(three, 29, 0, 17);
  for (std::size_t i = 1; i < 13; ++i) EXPECT_TRUE(three[16 + i].rgb == one[i].rgb) << i;
  for (std::size_t i = 1; i < 29; ++i) EXPECT_LT(distance(three[i - 1], three[i]), 12) << i;
}

TEST_F(Tasks, ConnectPutsATransitionBetweenTwoVideos) {
  write(folder / "after" / "%03d.png", 12, 25);
  const auto clip = make(
      {"--connect", video.string(), "--connect", (folder / "after" / "%03d.png").string(), "--frames", "8"});
  ASSERT_EQ(clip.size(), 17U + 8U + 13U);
  expect_truth(clip, 0, 0, 17);
  expect_truth(clip, 25, 12, 13);
}

TEST_F(Tasks, FillMakesTheMissingPartAnew) {
  // A bright square where the frames are bad: nothing of it may come through.
  auto damaged = truth;
  for (std::size_t i = 6; i < 9; ++i) std::fill(damaged[i].rgb.begin(), damaged[i].rgb.end(), 255);
  std::swap(truth, damaged);
  write(folder / "damaged" / "%03d.png", 0, 17);
  std::swap(truth, damaged);
  const auto clip = make({"--fill", (folder / "damaged" / "%03d.png").string(), "--missing", "0.75-1.125"});
  ASSERT_EQ(clip.size(), 17U);
  expect_truth(clip, 0, 0, 6);
  expect_truth(clip, 9, 9, 8);
  for (std::size_t i = 6; i < 9; ++i)
    EXPECT_LT(distance(clip[i], truth[i]), distance(damaged[i], truth[i]) / 2);
}

TEST_F(Tasks, EditKeepsMoreTheLessIsNew) {
  asked = "a large yellow star spinning on a white background";
  double before = 0;
  for (const char* strength : {"0.05", "0.15", "1"}) {
    const auto clip = make({"--edit", video.string(), "--strength", strength}, strength, 20);
    ASSERT_EQ(clip.size(), 17U);
    const auto far = distance(clip[8], truth[8]);
    EXPECT_GT(far, before) << strength;
    before = far;
  }
}

TEST_F(Tasks, EditWithAMaskKeepsWhatIsBlack) {
  Frame mask{128, 128, std::vector<uint8_t>(128 * 128 * 3, 0)};
  for (int y = 0; y < 128; ++y)
    std::fill_n(mask.rgb.begin() + y * 128 * 3, 64 * 3, uint8_t{255});  // the left half is made anew
  const auto file = folder / "mask.png";
  const auto sink = open_encoder({.path = file.string(), .width = 128, .height = 128, .fps = {1, 1}});
  sink->write(mask);
  sink->finish();
  const auto clip = make({"--edit", video.string(), "--mask", file.string()});
  ASSERT_EQ(clip.size(), 17U);
  for (std::size_t i = 0; i < clip.size(); ++i) {
    EXPECT_EQ(distance(clip[i], truth[i], 64, 128), 0) << i;
    EXPECT_GT(distance(clip[i], truth[i], 0, 64), 0) << i;
  }
}

TEST_F(Tasks, AMaskWithTransparencyIsReadByIt) {
  // Opaque white on the right: by its colours all of it would be made anew.
  const auto file = folder / "mask.gif";
  write_bytes(file, std::string("GIF89a\2\0\1\0\x80\0\0\0\0\0\xff\xff\xff"
                                "\x21\xf9\4\1\0\0\0\0\x2c\0\0\0\0\2\0\1\0\0\2\2\x44\x0a\0;",
                                43));
  const auto clip = make({"--edit", video.string(), "--mask", file.string(), "--fit", "stretch"});
  EXPECT_NE(said.find("mask.gif: what is transparent is made anew, and the rest is kept"), std::string::npos);
  ASSERT_EQ(clip.size(), 17U);
  for (std::size_t i = 0; i < clip.size(); ++i) {
    EXPECT_EQ(distance(clip[i], truth[i], 112, 128), 0) << i;
    EXPECT_GT(distance(clip[i], truth[i], 0, 48), 0) << i;
  }
}

TEST_F(Tasks, AMaskOfAnotherLengthIsHeldOrCut) {
  const auto file = (folder / "mask-%d.png").string();
  const auto write_mask = [&](int frames) {
    const auto sink = open_encoder({.path = file, .width = 32, .height = 16, .fps = {8, 1}});
    for (int i = 0; i < frames; ++i) sink->write({32, 16, std::vector<uint8_t>(32 * 16 * 3, 0)});
    sink->finish();
  };
  write_mask(3);
  expect_truth(make({"--edit", video.string(), "--mask", file}), 0, 0, 17);
  EXPECT_NE(said.find("its last frame holds to the clip's end"), std::string::npos) << said;
  write_mask(20);
  expect_truth(make({"--edit", video.string(), "--mask", file}, "long"), 0, 0, 17);
  EXPECT_NE(said.find("goes on beyond the clip's end"), std::string::npos) << said;
}

TEST_F(Tasks, OutpaintMakesWhatIsAroundTheVideo) {
  const auto clip = make({"--edit", video.string(), "--outpaint", "2:1"});
  ASSERT_EQ(clip.size(), 17U);
  const auto width = clip[0].width, height = clip[0].height;
  EXPECT_EQ(width, 2 * height);
  // The middle is the video, at the height of the clip.
  const auto red_at = [&](const Frame& frame, int x, int y) {
    return frame.rgb[static_cast<std::size_t>((y * frame.width + x) * 3)];
  };
  for (const std::size_t i : {0, 8, 16}) {
    const double scale = height / 128.0,
                 x = (width - height) / 2.0 + (32 + 2.6 * static_cast<double>(i)) * scale;
    EXPECT_NEAR(red_at(clip[i], static_cast<int>(x), height / 2), 220, 6) << i;
    double sum = 0;  // all around is made: no bars
    for (int y = 0; y < height; ++y) sum += clip[i].rgb[static_cast<std::size_t>((y * width + 4) * 3 + 2)];
    EXPECT_GT(sum / height, 30) << i;
  }
  EXPECT_FALSE(clip[0].rgb == clip[16].rgb);
}

TEST_F(Tasks, BlendGoesOverFromTheVideoToWhatIsMade) {
  const auto hard = make({"--extend", video.string(), "--frames", "8"}, "hard");
  const auto soft = make({"--extend", video.string(), "--frames", "8", "--blend", "3"}, "soft");
  ASSERT_EQ(soft.size(), 25U);
  expect_truth(soft, 0, 0, 14);
  double before = 0;
  for (std::size_t i = 14; i < 17; ++i) {
    const auto far = distance(soft[i], truth[i]);
    EXPECT_GT(far, 0) << i;
    EXPECT_LT(far, 30) << i;
    before = far;
  }
  EXPECT_GT(before, 0);
  for (std::size_t i = 17; i < 25; ++i) EXPECT_TRUE(soft[i].rgb == hard[i].rgb) << i;
}

TEST_F(Tasks, APictureGivesItsShapeAndIsCutToAnother) {
  auto wide = truth[0];
  wide.width = 256, wide.height = 64;
  const auto sink = open_encoder(
      {.path = (folder / "wide.png").string(), .width = 256, .height = 64, .fps = {1, 1}});
  sink->write(wide);
  sink->finish();
  const auto size_of = [&](const Arguments& flags, const std::string& name) {
    auto arguments = flags;
    arguments.insert(arguments.end(), {"--image", (folder / "wide.png").string(), "--frames", "1"});
    const auto frame = make(arguments, name).at(0);
    return std::pair(frame.width, frame.height);
  };
  EXPECT_EQ(size_of({}, "own"), std::pair(256, 64));
  for (const char* fit : {"crop", "pad", "stretch"})
    EXPECT_EQ(size_of({"--size", "128x128", "--fit", fit}, fit), std::pair(128, 128));
}

TEST_F(Tasks, SeveralClipsOfATaskAreTheClipsByThemselves) {
  for (const Arguments& more : {Arguments{"--frames", "8"}, {"--backward", "--frames", "21"}}) {
    const auto make_clips = [&](const std::string& seed, const std::string& count, const fs::path& out) {
      Arguments arguments = {"generate",   prompt,         "-m",      "world-128",
                             "--extend",   video.string(), "--seed",  seed,
                             "--count",    count,          "--steps", "3",
                             "--progress", "none",         "-o",      (out / "{seed}.y4m").string()};
      arguments.insert(arguments.end(), more.begin(), more.end());
      expect_done(run_program(arguments));
    };
    fs::create_directories(folder / "packed");
    fs::create_directories(folder / "alone");
    make_clips("5", "3", folder / "packed");
    for (const char* seed : {"5", "6", "7"}) {
      make_clips(seed, "1", folder / "alone");
      const auto name = std::string(seed) + ".y4m";
      EXPECT_TRUE(bytes_of(folder / "packed" / name) == bytes_of(folder / "alone" / name))
          << seed << " " << more[0];
    }
  }
}

TEST_F(Tasks, ASidecarMakesTheClipAgain) {
  const auto first = folder / "a.y4m", again = folder / "b.y4m";
  expect_done(run_program({"generate", prompt, "-m", "world-128", "--extend", video.string(), "--frames", "8",
                           "--steps", "3", "--sidecar", "--progress", "none", "-o", first.string()}));
  expect_done(run_program(
      {"generate", "--config", first.string() + ".json", "--progress", "none", "-o", again.string()}));
  EXPECT_TRUE(bytes_of(first) == bytes_of(again));
  const auto sources = [](const fs::path& clip) { return read_json(clip.string() + ".json").at("sources"); };
  ASSERT_EQ(sources(first).size(), 1U);
  const auto hash = sources(first).at(video.string());
  EXPECT_EQ(hash.get<std::string>().size(), 16U);
  truth[0].rgb[0] ^= 1;
  write(video, 0, 17);
  expect_done(run_program({"generate", "--config", first.string() + ".json", "--sidecar", "--progress",
                           "none", "-o", again.string()}));
  EXPECT_NE(sources(again).at(video.string()), hash);
}

TEST_F(Tasks, AModelOfOneLevelForAllFramesUsesRePaint) {
  for (const char* scheduler : {"unipc", "flow-euler", "dpm++", "dpm++-sde"}) {
    const auto out = folder / "tiny.y4m";
    const auto result = run_program({"generate", prompt, "-m", golden("wan-tiny").string(), "--image",
                                     (folder / "first.png").string(), "--frames", "5", "--steps", "2",
                                     "--scheduler", scheduler, "--size", "64x64", "--progress", "none", "-o",
                                     out.string()});
    expect_done(result);
    EXPECT_NE(result.err.find("RePaint"), std::string::npos) << result.err;
    EXPECT_EQ(frames_of(out).size(), 5U);
  }
}

TEST_F(Tasks, ALengthThatAVideoDoesNotHaveIsSaid) {
  EXPECT_EQ(make({"--fill", video.string(), "--missing", "0.75-1.125", "--frames", "9"}).size(), 17U);
  EXPECT_NE(said.find("--fill keeps the video's length"), std::string::npos) << said;
  EXPECT_EQ(make({"--edit", video.string(), "--frames", "33"}, "edited").size(), 17U);
  EXPECT_NE(said.find("has no more than 17 frames to be edited"), std::string::npos) << said;
}

TEST_F(Tasks, WhatMakesNoSenseIsRefused) {
  const auto refused = [&](Arguments flags, int code, const std::vector<std::string>& parts) {
    Arguments arguments = {"generate",   prompt, "-m", "world-128",
                           "--progress", "none", "-o", (folder / "no.mp4").string()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    expect_refused(run_program(arguments), code, parts);
  };
  const auto file = video.string(), image = (folder / "first.png").string();
  refused({"--image", image, "--extend", file}, 2, {"--image", "--extend", "two tasks"});
  refused({"--backward"}, 2, {"--backward belongs to --extend"});
  refused({"--extend", file, "--backward", "--window", "5", "--frames", "9"}, 2,
          {"--backward: --window should be 1 + 4·k, from 9", "found 5"});
  refused({"--fill", file}, 2, {"--missing"});
  refused({"--fill", file, "--missing", "2-1"}, 2, {"'2-1'", "1.0-2.5"});
  refused({"--fill", file, "--missing", "1-9"}, 2, {"1-9", "17 frames"});
  refused({"--fill", file, "--missing", "1-1.01"}, 2, {"1-1.01", "less than a frame"});
  refused({"--fill", file, "--missing", "1.5-2.125"}, 2, {"ends with the video", "--extend"});
  refused({"--edit", file, "--outpaint", "100:1"}, 2, {"--outpaint should be WIDTH:HEIGHT", "'100:1'"});
  refused({"--connect", file}, 2, {"--connect should be given twice"});
  refused({"--edit", file, "--strength", "0"}, 2, {"--strength"});
  refused({"--edit", file, "--outpaint", "1:1"}, 2, {"--outpaint", "own shape"});
  refused({"--outpaint", "2:1"}, 2, {"--outpaint belongs to --edit"});
  refused({"--extend", file, "--blend", "4"}, 2, {"--blend should be 0 to 3"});
  refused({"--image", image, "--blend", "1"}, 2, {"--blend belongs to"});
  refused({"--image", image, "--fit", "squeeze"}, 2, {"--fit", "'squeeze'"});
  refused({"--image", (folder / "none.png").string()}, 3, {"none.png"});
  std::ofstream(folder / "text.png") << "no picture";
  refused({"--image", (folder / "text.png").string()}, 3, {"text.png"});
  EXPECT_FALSE(fs::exists(folder / "no.mp4"));
}

}  // namespace t2v::test
