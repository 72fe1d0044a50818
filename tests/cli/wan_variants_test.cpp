// Wan's variants through the binary.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <set>

#include "expect.h"
#include "paths.h"
#include "video/write/encoder.h"

namespace t2v::test {

namespace {

namespace fs = std::filesystem;

Arguments small_clip(const std::string& model, const fs::path& out, const Arguments& more = {}) {
  Arguments arguments = {"generate",   "-p",     "a cat",    "-m",        golden(model).string(),
                         "--size",     "64x32",  "--frames", "5",         "--steps",
                         "4",          "--seed", "4",        "--fps",     "8",
                         "--progress", "none",   "-o",       out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// 64x32; left of the middle black.
std::string write_mask(const fs::path& path, uint8_t right) {
  Frame mask{64, 32, std::vector<uint8_t>(64 * 32 * 3, 0)};
  for (int y = 0; y < 32; ++y) std::fill_n(mask.rgb.begin() + (y * 64 + 32) * 3, 32 * 3, right);
  const auto sink = open_encoder({.path = path.string(), .width = 64, .height = 32, .fps = {1, 1}});
  sink->write(mask);
  sink->finish();
  return path.string();
}

}  // namespace

TEST(CliWanExperts, EachHasAGuidanceScaleAndTheSidecarKnowsBoth) {
  const TemporaryFolder folder;
  const auto clip = [&](const std::string& name, const Arguments& more) {
    const auto out = folder / (name + ".y4m");
    expect_done(run_program(small_clip("wan22-a14b", out, more)));
    return bytes_of(out);
  };
  const auto both = clip("both", {"--guidance-scale", "4", "--sidecar"});
  EXPECT_TRUE(clip("same", {"--guidance-scale", "4", "--guidance-scale-2", "4"}) == both);
  EXPECT_FALSE(clip("low", {"--guidance-scale", "4", "--guidance-scale-2", "2"}) == both);
  EXPECT_FALSE(clip("high", {"--guidance-scale", "2", "--guidance-scale-2", "4"}) == both);
  const auto sidecar = nlohmann::json::parse(bytes_of(folder / "both.y4m.json"));
  EXPECT_EQ(sidecar.at("settings").at("guidance_scale_2"), 4);
  expect_refused(run_program(small_clip("wan-tiny", folder / "no.y4m", {"--guidance-scale-2", "4"})), 2,
                 {"--guidance-scale-2", "two experts"});
}

TEST(CliWanExperts, ABatchHasAColumnForTheSecondScale) {
  const TemporaryFolder folder;
  std::ofstream(folder / "prompts.csv") << "prompt,seed,guidance_scale_2\na cat,4,4\na cat,4,2\n";
  const auto clip = small_clip("wan22-a14b", folder / "{index}.y4m", {"--guidance-scale", "4"});
  Arguments arguments = {"batch", (folder / "prompts.csv").string()};
  arguments.insert(arguments.end(), clip.begin() + 3, clip.end());  // without "generate" and its prompt
  expect_done(run_program(arguments));
  const auto whole = folder / "whole.y4m";
  expect_done(run_program(small_clip("wan22-a14b", whole, {"--guidance-scale", "4"})));
  EXPECT_TRUE(bytes_of(folder / "0.y4m") == bytes_of(whole));
  EXPECT_FALSE(bytes_of(folder / "1.y4m") == bytes_of(whole));
}

TEST(CliWanImageToVideo, ThePicturesDecideTheClip) {
  for (const std::string model : {"wan21-i2v", "wan22-i2v", "wan22-ti2v"}) {
    SCOPED_TRACE(model);
    const TemporaryFolder folder;
    const auto clip = [&](const std::string& name) {
      const auto out = folder / (name + ".y4m");
      expect_done(run_program(small_clip(model, out, {"--image", picture(name), "--sidecar"})));
      return bytes_of(out);
    };
    const auto first = clip("picture.png");
    EXPECT_FALSE(clip("last.png") == first);
    // From the sidecar alone.
    const auto sidecar = nlohmann::json::parse(bytes_of(folder / "picture.png.y4m.json"));
    std::ofstream(folder / "settings.json") << sidecar.at("settings");
    expect_done(run_program({"generate", "--config", (folder / "settings.json").string(), "--progress",
                             "none", "-o", (folder / "again.y4m").string()}));
    EXPECT_TRUE(bytes_of(folder / "again.y4m") == first);
  }
}

TEST(CliWanVace, ReferencesChangeTheClipAndNotItsLength) {
  const TemporaryFolder folder;
  const auto clip = [&](const std::string& name, const Arguments& more) {
    const auto out = folder / (name + ".y4m");
    expect_done(run_program(small_clip("wan21-vace", out, more)));
    return bytes_of(out);
  };
  const auto none = clip("none", {});
  const auto one = clip("one", {"--reference", picture("picture.png"), "--sidecar"});
  const auto two = clip("two", {"--reference", picture("picture.png"), "--reference", picture("large.png")});
  EXPECT_EQ(none.size(), two.size());
  EXPECT_FALSE(one == none);
  EXPECT_FALSE(two == one);
  // Beside a clip that is read, too, and again from the sidecar.
  const auto control = (golden("wan-pictures") / "control" / "%d.png").string();
  EXPECT_FALSE(clip("both", {"--control", control, "--reference", picture("picture.png")}) ==
               clip("control", {"--control", control}));
  const auto sidecar = nlohmann::json::parse(bytes_of(folder / "one.y4m.json"));
  EXPECT_EQ(sidecar.at("settings").at("reference"), nlohmann::json({picture("picture.png")}));
  std::ofstream(folder / "settings.json") << sidecar.at("settings");
  expect_done(run_program({"generate", "--config", (folder / "settings.json").string(), "--progress", "none",
                           "-o", (folder / "again.y4m").string()}));
  EXPECT_TRUE(bytes_of(folder / "again.y4m") == one);
  expect_refused(run_program(small_clip("wan-tiny", folder / "no.y4m", {"--reference", picture("last.png")})),
                 2, {"--reference", "VACE"});
  expect_refused(run_program(small_clip("wan21-vace", folder / "no.y4m", {"--reference", control})), 2,
                 {"--reference", "a picture"});
}

TEST(CliWanVace, ReadsTheGreysOfAMask) {
  const TemporaryFolder folder;
  const auto control = (golden("wan-pictures") / "control" / "%d.png").string();
  const auto edit = [&](uint8_t right) {
    const auto name = std::to_string(right);
    const auto out = folder / (name + ".y4m");
    const auto mask = write_mask(folder / (name + ".png"), right);
    expect_done(run_program(small_clip("wan21-vace", out, {"--edit", control, "--mask", mask})));
    return bytes_of(out);
  };
  // Black, two greys that are kept, two that are made anew, and white: six clips.
  std::set<std::string> clips;
  for (const int right : {0, 60, 127, 128, 200, 255}) clips.insert(edit(static_cast<uint8_t>(right)));
  EXPECT_EQ(clips.size(), 6u);
}

TEST(CliWanImageToVideo, WhatAModelDoesNotReadIsRefused) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& model, const Arguments& more,
                           const std::vector<std::string>& parts) {
    expect_refused(run_program(small_clip(model, folder / "clip.y4m", more)), 2, parts);
    EXPECT_FALSE(fs::exists(folder / "clip.y4m"));
  };
  refused("wan21-i2v", {}, {"--image FILE"});
  refused("wan21-i2v", {"--image", picture("picture.png"), "--last-image", picture("last.png")},
          {"--last-image"});
  refused("wan21-flf2v", {"--image", picture("picture.png")}, {"--last-image FILE"});
  refused("wan22-i2v", {"--edit", picture("picture.png")}, {"--edit", "text-to-video model"});
}

}  // namespace t2v::test
