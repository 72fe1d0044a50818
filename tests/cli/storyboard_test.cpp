// Clips of several shots, with pictures and clips at certain times.
#include <cmath>
#include <fstream>

#include "base/json.h"
#include "expect.h"
#include "paths.h"
#include "video/read/decoder.h"
#include "video/write/encoder.h"

namespace t2v::test {

namespace {

namespace fs = std::filesystem;

constexpr const char* red_circle = "a red circle standing still on a navy background";
constexpr const char* green_square = "a large green square standing still on a white background";

class Storyboards : public testing::Test {
 protected:
  fs::path board(const std::string& text, const std::string& name = "board.json") const {
    std::ofstream(folder / name) << text;
    return folder / name;
  }

  // A picture of one grey.
  Frame grey(uint8_t value) const { return {128, 128, std::vector<uint8_t>(128 * 128 * 3, value)}; }

  void write(const std::string& name, const std::vector<Frame>& frames) const {
    fs::create_directories((folder / name).parent_path());
    const auto sink = open_encoder(
        {.path = (folder / name).string(), .width = 128, .height = 128, .fps = {8, 1}});
    for (const auto& frame : frames) sink->write(frame);
    sink->finish();
  }

  ProgramResult run(const Arguments& flags, const std::string& name, const std::string& model = "world-128") {
    Arguments arguments = {"generate",
                           "-m",
                           model,
                           "--seed",
                           "3",
                           "--size",
                           "128x128",
                           "--progress",
                           "none",
                           "-o",
                           (folder / name).string()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return run_program(arguments);
  }

  std::vector<Frame> make(const Arguments& flags, const std::string& name = "clip.y4m") {
    const auto result = run(flags, name);
    expect_done(result);
    said = result.err;
    const auto reader = open_video(folder / name);
    std::vector<Frame> frames;
    while (auto frame = reader->read()) frames.push_back(std::move(*frame));
    return frames;
  }

  TemporaryFolder folder;
  std::string said;
};

// Mean of the frame's rim, 0 to 255.
double rim(const Frame& frame) {
  double sum = 0;
  for (int x = 0; x < 128 * 3; ++x) sum += frame.rgb[static_cast<std::size_t>(x)];
  return sum / (128 * 3);
}

std::string two_shots(const std::string& second) {
  return std::string(R"({"shots": [{"from": 0, "to": 1.5, "prompt": ")") + red_circle +
         R"("},)"
         "\n"
         R"( {"from": 1.5, "to": 2.5, "prompt": ")" +
         green_square + "\"" + second + "}]}";
}

}  // namespace

TEST_F(Storyboards, ShotsHaveTheirPromptsAndTheirLengths) {
  const auto clip = make({"--storyboard", board(two_shots(", \"cut\": true")).string()});
  ASSERT_EQ(clip.size(), 20U);
  EXPECT_LT(rim(clip[11]), 90);   // navy
  EXPECT_GT(rim(clip[12]), 200);  // white
  EXPECT_GT(rim(clip[19]), 200);
}

TEST_F(Storyboards, OneShotHasItsLengthToo) {
  write("pin.png", {grey(90)});
  const std::string shot = R"({"shots": [{"from": 0, "to": 2, "prompt": "a red circle"}])";
  EXPECT_EQ(make({"--storyboard", board(shot + "}").string(), "--steps", "1"}).size(), 16U);
  const auto pinned = make({"--storyboard",
                            board(shot + R"(, "pins": [{"at": 1, "image": "pin.png"}]})").string(), "--steps",
                            "1"});
  ASSERT_EQ(pinned.size(), 16U);
  EXPECT_NEAR(rim(pinned[8]), 90, 2);
}

TEST_F(Storyboards, TheFirstShotIsTheClipOfItsPrompt) {
  const auto path = board(two_shots(", \"cut\": true")).string();
  const auto clip = make({"--storyboard", path, "--steps", "4"});
  const auto alone = make({red_circle, "--frames", "13", "--steps", "4"}, "alone.y4m");
  for (std::size_t i = 0; i < 12; ++i) EXPECT_TRUE(clip.at(i).rgb == alone.at(i).rgb) << i;
}

TEST_F(Storyboards, AShotWithoutACutGoesOnFromTheFramesBefore) {
  const auto text = std::string(
      R"({"shots": [{"from": 0, "to": 1.5}, {"from": 1.5, "to": 3, "cut": true}]})");
  const auto distance_at_seam = [&](const std::string& board_text, const std::string& name) {
    const auto clip = make({red_circle, "--storyboard", board(board_text).string()}, name);
    EXPECT_EQ(clip.size(), 24U);
    double sum = 0;
    for (std::size_t i = 0; i < clip.at(11).rgb.size(); ++i)
      sum += std::abs(clip[11].rgb[i] - clip[12].rgb[i]);
    return sum / static_cast<double>(clip[11].rgb.size());
  };
  const auto cut = distance_at_seam(text, "cut.y4m");
  auto blended = text;
  blended.replace(blended.find("\"cut\""), 5, "\"blend\"");
  EXPECT_LT(distance_at_seam(blended, "blend.y4m"), 0.5 * cut);
}

TEST_F(Storyboards, PinnedPicturesAndClipsAreThereAtTheirTimes) {
  write("pins/dark.png", {grey(40)});
  write("pins/light.y4m", {grey(200), grey(210), grey(220)});
  const auto path = board(R"({"shots": [{"from": 0, "to": 3.5}],
    "pins": [{"at": 0.75, "image": "pins/dark.png"}, {"at": 2.5, "clip": "pins/light.y4m"}]})");
  const auto clip = make({red_circle, "--storyboard", path.string(), "--steps", "4"});
  ASSERT_EQ(clip.size(), 28U);
  EXPECT_TRUE(clip[6].rgb == grey(40).rgb);
  EXPECT_FALSE(clip[5].rgb == clip[6].rgb);
  const auto light = open_video(folder / "pins/light.y4m");
  for (std::size_t i = 20; i < 23; ++i) EXPECT_TRUE(clip[i].rgb == light->read()->rgb) << i;
  EXPECT_LT(rim(clip[5]), 80);
}

TEST_F(Storyboards, ASidecarMakesTheClipAgain) {
  const auto path = board(two_shots("")).string();
  make({"--storyboard", path, "--steps", "3", "--sidecar"}, "a.y4m");
  make({"--config", (folder / "a.y4m.json").string()}, "b.y4m");
  EXPECT_TRUE(bytes_of(folder / "a.y4m") == bytes_of(folder / "b.y4m"));
}

TEST_F(Storyboards, TheDryRunShowsTheShots) {
  const auto dry = run({"--storyboard", board(two_shots(", \"cut\": true")).string(), "--dry-run"}, "no.y4m");
  expect_done(dry);
  const auto shots = Json::parse(dry.out).at("shots");
  ASSERT_EQ(shots.size(), 2U);
  EXPECT_EQ(shots[1].at("prompt"), green_square);
  EXPECT_EQ(shots[1].at("begin"), 12);
  EXPECT_EQ(shots[1].at("frames"), 8);
  EXPECT_EQ(shots[1].at("cut"), true);
}

TEST_F(Storyboards, AModelThatCannotGoOnMakesShotsWithCuts) {
  const auto cut = board(two_shots(", \"cut\": true")).string();
  expect_done(run({"--storyboard", cut, "--steps", "2"}, "tiny.y4m", golden("wan-tiny").string()));
  const auto blend = board(two_shots(""), "blend.json").string();
  expect_refused(run({"--storyboard", blend}, "no.y4m", golden("wan-tiny").string()), 2, {"\"cut\": true"});
}

TEST_F(Storyboards, WhatMakesNoSenseIsRefusedWithLineAndKey) {
  const auto refused = [&](const std::string& text, const std::vector<std::string>& parts) {
    expect_refused(run({"--storyboard", board(text).string()}, "no.mp4"), 2, parts);
  };
  const std::string first = "{\"shots\": [\n {\"from\": 0, \"to\": 1, \"prompt\": \"a\"},\n ";
  refused(first + R"({"from": 1.5, "to": 2, "prompt": "b"}]})", {"line 3", "shots[1].from", "gap"});
  refused(first + "\n{\"from\": 0.5, \"to\": 2, \"prompt\": \"b\"}]}",
          {"line 4", "shots[1].from", "overlaps"});
  refused(first + R"({"from": 1, "to": 1.01, "prompt": "b"}]})", {"line 3", "shots[1].to", "a frame"});
  refused(first + R"({"from": 1, "to": 2}]})", {"line 3", "shots[1]", "\"prompt\""});
  refused(first + R"({"from": 1, "to": 2, "promt": "b"}]})", {"shots[1].promt", "did you mean 'prompt'"});
  refused(first + R"({"from": 1, "to": 2, "prompt": "b", "cut": 1}]})", {"shots[1].cut", "true or false"});
  refused(R"({"shots": []})", {"shots", "at least one"});
  refused(R"({"shots": [{"from": 0, "to": 1, "prompt": "a"}], "pins": [{"at": 2, "image": "x.png"}]})",
          {"pins[0].at", "after the end"});
  refused(R"({"shots": [{"from": 0, "to": 1, "prompt": "a"}], "pins": [{"at": 0}]})", {"pins[0]", "image"});
  refused("[1, 2]", {"should be an object"});
  refused("{\"shots\": ", {"board.json"});
  expect_refused(run({"--storyboard", (folder / "none.json").string()}, "no.mp4"), 2, {"none.json"});
  const auto good = board(two_shots("")).string();
  expect_refused(run({"--storyboard", good, "--seconds", "3"}, "no.mp4"), 2, {"--storyboard", "--seconds"});
  expect_refused(run({"--storyboard", good, "--edit", "x.mp4"}, "no.mp4"), 2, {"two tasks"});
}

}  // namespace t2v::test
