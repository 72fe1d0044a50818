// Clips longer than the model is made for: made in windows, written as they come.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "clip_frames.h"
#include "expect.h"
#include "model_copy.h"
#include "sanitizer.h"
#include "video/read/decoder.h"

namespace t2v::test {

namespace {

Arguments long_clip(const std::filesystem::path& output, const Arguments& more = {}) {
  Arguments arguments = more;
  for (const auto& [flag, value] :
       {std::pair{"--frames", "41"}, {"--size", "64x64"}, {"--window", "17"}, {"--overlap", "5"}})
    if (std::find(more.begin(), more.end(), flag) == more.end())
      arguments.insert(arguments.end(), {flag, value});
  return quick_clip(output, arguments);
}

}  // namespace

TEST(CliLongClips, AreMadeInWindowsAndSaySo) {
  const TemporaryFolder folder;
  const auto result = run_program(long_clip(folder / "clip.y4m", {"--progress", "plain"}));
  expect_done(result);
  EXPECT_NE(result.err.find("41 frames are made in 3 windows of 17 frames"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("denoise 6/6"), std::string::npos) << result.err;
  EXPECT_EQ(frames_of(folder / "clip.y4m").size(), 41U);
  const auto plan = nlohmann::json::parse(run_program(long_clip(folder / "other.y4m", {"--dry-run"})).out);
  EXPECT_EQ(plan["windows"], 3);
  EXPECT_EQ(plan["window"], 17);
  EXPECT_EQ(plan["overlap"], 5);
  EXPECT_EQ(plan["latent_shape"][2], 5);
}

TEST(CliLongClips, TheFirstWindowIsTheShortClip) {
  const TemporaryFolder folder;
  expect_done(run_program(long_clip(folder / "long.y4m")));
  expect_done(run_program(long_clip(folder / "short.y4m", {"--frames", "17"})));
  const auto all = frames_of(folder / "long.y4m"), first = frames_of(folder / "short.y4m");
  ASSERT_EQ(first.size(), 17U);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_EQ(all[i].rgb, first[i].rgb) << i;
}

TEST(CliLongClips, BytesDoNotDependOnWhatIsMadeBeside) {
  const TemporaryFolder folder;
  expect_done(run_program(long_clip(folder / "alone.y4m", {"--seed", "8"})));
  expect_done(run_program(long_clip(folder / "{seed}.y4m", {"--seed", "7", "--count", "3"})));
  EXPECT_TRUE(bytes_of(folder / "alone.y4m") == bytes_of(folder / "8.y4m"));
  expect_done(run_program(long_clip(folder / "two.y4m", {"--seed", "8", "--threads", "2"})));
  EXPECT_TRUE(bytes_of(folder / "alone.y4m") == bytes_of(folder / "two.y4m"));
}

TEST(CliLongClips, AreMadeAgainFromTheirSidecar) {
  const TemporaryFolder folder;
  expect_done(run_program(long_clip(folder / "clip.y4m", {"--sidecar", "--context-noise", "60"})));
  expect_done(run_program(
      {"generate", "--config", (folder / "clip.y4m.json").string(), "-o", (folder / "again.y4m").string()}));
  EXPECT_TRUE(bytes_of(folder / "clip.y4m") == bytes_of(folder / "again.y4m"));
}

namespace {

// Mean difference of a value, of 255.
double distance(const Frame& a, const Frame& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  return sum / static_cast<double>(a.rgb.size());
}

}  // namespace

// The last frame is no further from the first than neighbours are from each other, which without --loop it
// is.
TEST(CliLongClips, ALoopLeadsBackToItsFirstFrame) {
  const TemporaryFolder folder;
  const auto closing = [&](const std::string& name, const Arguments& more) {
    Arguments flags = {"generate",
                       "-p",
                       "a large blue heart pulsing on a white background",
                       "--size",
                       "64x64",
                       "--steps",
                       "12",
                       "--seed",
                       "5",
                       "-o",
                       (folder / name).string()};
    flags.insert(flags.end(), more.begin(), more.end());
    expect_done(run_program(flags));
    const auto clip = frames_of(folder / name);
    double most = 0;
    for (std::size_t i = 1; i < clip.size(); ++i) most = std::max(most, distance(clip[i - 1], clip[i]));
    return distance(clip.back(), clip.front()) / most;
  };
  EXPECT_LT(closing("loop.y4m", {"--loop", "--frames", "24"}), 1);
  EXPECT_GT(closing("clip.y4m", {"--frames", "21"}), 1.2);
}

namespace {

// Killed in its second window, of three.
void expect_to_go_on(const Arguments& more) {
  const TemporaryFolder folder, whole;
  const auto arguments = [&](const TemporaryFolder& at) {
    auto flags = more;
    flags.insert(flags.end(), {"--steps", "60", "--checkpoint-every", "5", "--progress", "plain"});
    return long_clip(at / "clip.mp4", flags);
  };
  expect_done(run_program(arguments(whole)));
  EXPECT_EQ(names_in(whole.path()), std::vector<std::string>{"clip.mp4"});
  Program program(arguments(folder));
  // The second window has begun when the first one's latents are there.
  const auto first = folder / ".clip.mp4.checkpoint.000000";
  for (int i = 0; i < 20'000 && !std::filesystem::exists(first); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  program.signal(SIGKILL);
  EXPECT_EQ(program.finish().code, 1000 + SIGKILL);
  ASSERT_FALSE(std::filesystem::exists(folder / "clip.mp4"));
  const auto result = run_program(arguments(folder));
  expect_done(result);
  EXPECT_NE(result.err.find("of 180"), std::string::npos) << result.err;
  EXPECT_TRUE(bytes_of(folder / "clip.mp4") == bytes_of(whole / "clip.mp4"));
  for (const auto& name : names_in(folder.path()))
    EXPECT_EQ(name.find("checkpoint"), std::string::npos) << name;
}

}  // namespace

TEST(CliLongClips, AKilledOneGoesOnToTheSameBytes) { expect_to_go_on({}); }

TEST(CliLongClips, AKilledOneThatIsMadeFromItsEndGoesOnToTheSameBytes) {
  const TemporaryFolder folder;
  expect_done(run_program(long_clip(folder / "kept.y4m", {"--frames", "5"})));
  expect_to_go_on({"--extend", (folder / "kept.y4m").string(), "--backward", "--frames", "29"});
}

namespace {

Arguments loop_clip(const std::filesystem::path& output, Arguments more) {
  more.insert(more.end(), {"--loop", "--size", "64x64", "--frames", "40"});
  return quick_clip(output, more);
}

}  // namespace

TEST(CliLongClips, ALoopIsPlannedMadeBesideOthersAndMadeAgainFromItsSidecar) {
  const TemporaryFolder folder;
  const auto plan = nlohmann::json::parse(run_program(loop_clip(folder / "none.y4m", {"--dry-run"})).out);
  EXPECT_EQ(plan["loop"], true);
  EXPECT_EQ(plan["frames"], 40);
  EXPECT_EQ(plan["windows"], 5);
  EXPECT_EQ(plan["latent_shape"][2], 15);  // 10, and a first one for each window
  EXPECT_EQ(plan["notes"][0], "40 frames are made in 5 windows of 17 frames, together");
  expect_done(run_program(loop_clip(folder / "alone.y4m", {"--seed", "8", "--sidecar"})));
  EXPECT_EQ(frames_of(folder / "alone.y4m").size(), 40U);
  expect_done(run_program(loop_clip(folder / "{seed}.y4m", {"--seed", "7", "--count", "3"})));
  EXPECT_TRUE(bytes_of(folder / "alone.y4m") == bytes_of(folder / "8.y4m"));
  expect_done(run_program(
      {"generate", "--config", (folder / "alone.y4m.json").string(), "-o", (folder / "again.y4m").string()}));
  EXPECT_TRUE(bytes_of(folder / "alone.y4m") == bytes_of(folder / "again.y4m"));
}

TEST(CliLongClips, AKilledLoopGoesOnToTheSameBytes) {
  const TemporaryFolder folder, whole;
  const auto arguments = [&](const TemporaryFolder& at) {
    return loop_clip(at / "clip.y4m", {"--steps", "60", "--checkpoint-every", "2"});
  };
  expect_done(run_program(arguments(whole)));
  Program program(arguments(folder));
  for (int i = 0; i < 20'000 && !std::filesystem::exists(folder / ".clip.y4m.checkpoint.safetensors"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  program.signal(SIGKILL);
  EXPECT_EQ(program.finish().code, 1000 + SIGKILL);
  const auto result = run_program(arguments(folder));
  expect_done(result);
  EXPECT_NE(result.err.find("goes on after step"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("of 60"), std::string::npos) << result.err;
  EXPECT_TRUE(bytes_of(folder / "clip.y4m") == bytes_of(whole / "clip.y4m"));
}

TEST(CliLongClips, AModelOfOneNoiseLevelMakesLoopsToo) {
  const TemporaryFolder folder;
  const auto tiny = (source_dir() / "tests" / "golden" / "wan-tiny").string();
  for (const auto* size : {"64x64", "32x32"}) {
    expect_done(run_program({"generate", "-m", tiny, "-p", "a", "--size", size, "--frames", "16", "--window",
                             "9", "--steps", "2", "--loop", "-o", (folder / "clip.y4m").string()}));
    EXPECT_EQ(frames_of(folder / "clip.y4m").size(), 16U);
  }
}

TEST(CliLongClips, RefusesLoopsThatMakeNoSense) {
  const TemporaryFolder folder;
  const auto refused = [&](const Arguments& more, const std::vector<std::string>& parts) {
    auto flags = more;
    flags.push_back("--loop");
    expect_refused(run_program(quick_clip(folder / "clip.mp4", flags)), 2, parts);
  };
  refused({"--image", "first.png"}, {"--image", "--loop", "two tasks"});
  refused({"--overlap", "5"}, {"--loop", "leave out --overlap"});
  refused({"--window", "5"}, {"--loop: --window should be 1 + 4·k, from 9", "found 5"});
  refused({"--save-latents", (folder / "l.safetensors").string()}, {"--save-latents", "one window"});
  refused({"-m", (source_dir() / "tests" / "golden" / "wan21-i2v").string()}, {"--loop", "text-to-video"});
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(CliLongClips, MemoryDoesNotGrowWithTheLength) {
  if (has_sanitizer) GTEST_SKIP() << "a sanitizer's own memory counts as well";
  const TemporaryFolder folder;
  const auto peak = [&](const char* frames) {
    const auto result = run_program(long_clip(folder / "clip.y4m", {"--frames", frames, "--steps", "1"}),
                                    {{"OMP_NUM_THREADS", "1"}, {"MALLOC_ARENA_MAX", "1"}});
    expect_done(result);
    return result.peak_megabytes;
  };
  EXPECT_LE(static_cast<double>(peak("481")), 1.1 * static_cast<double>(peak("41")));
}

TEST(CliLongClips, AreTracedWindowByWindow) {
  const TemporaryFolder folder;
  expect_done(run_program(long_clip(folder / "clip.y4m", {"--trace", (folder / "trace").string()})));
  EXPECT_EQ(names_in(folder / "trace"),
            (std::vector<std::string>{"text.safetensors", "window_0000", "window_0001", "window_0002"}));
  EXPECT_EQ(names_in(folder / "trace" / "window_0002").size(), 2U);
}

TEST(CliLongClips, RefuseWindowsThatMakeNoSense) {
  const TemporaryFolder folder;
  const auto refused = [&](const Arguments& more, const std::vector<std::string>& parts) {
    expect_refused(run_program(long_clip(folder / "clip.mp4", more)), 2, parts);
  };
  refused({"--window", "16"}, {"--window should be 1 + 4·k", "found 16"});
  refused({"--window", "1"}, {"--window should be 1 + 4·k, from 5", "found 1"});
  refused({"--overlap", "17"}, {"--overlap should be 1 + 4·k, from 1 to 13", "found 17"});
  refused({"--context-noise", "1000"}, {"timestep should be between 0 and 999", "found 1000"});
  refused({"--save-latents", (folder / "l.safetensors").string()}, {"--save-latents", "one window", "3"});
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(CliLongClips, AModelOfOneNoiseLevelMakesOnePass) {
  const TemporaryFolder folder;
  const auto tiny = (source_dir() / "tests" / "golden" / "wan-tiny").string();
  const Arguments clip = {"generate", "-m",       tiny, "-p",        "a",  "--size",
                          "64x64",    "--frames", "33", "--dry-run", "-o", (folder / "clip.mp4").string()};
  const auto plan = nlohmann::json::parse(run_program(clip).out);
  EXPECT_FALSE(plan.contains("windows"));
  EXPECT_EQ(plan["latent_shape"][2], 9);
  auto windows = clip;
  windows.insert(windows.end(), {"--window", "17"});
  expect_refused(run_program(windows), 2, {"--window", "one pass", "per_frame_timesteps"});
}

}  // namespace t2v::test
