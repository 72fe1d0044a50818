// Failure classes of what happens around a run: full disks, killed programs, two writers, shrunk weights,
// closed pipes, permissions. No name ever holds half a file.
#include <random>

#include "expect.h"
#include "model_copy.h"
#include "starts.h"

namespace t2v::test {

namespace {

bool is_temporary(const std::string& name) {
  return name.starts_with(".") && name.find(".tmp") != std::string::npos;
}

// The program under a small file system of its own at `place`, in namespaces of its own; `listing` gets what
// is in it in the end.
Start on_small_disk(const std::filesystem::path& place, const std::string& options,
                    const std::filesystem::path& listing) {
  return {.wrapper = {"unshare", "--map-root-user", "--mount", "sh", "-c",
                      "mount -t tmpfs -o \"$1\" tmpfs \"$0\" || exit 99; list=$2; shift 2; \"$@\"; code=$?; "
                      "ls -A \"$0\" >\"$list\"; exit $code",
                      place.string(), options, listing.string()}};
}

bool can_mount() {
  const TemporaryFolder folder;
  return run_program({"--version"}, {}, {}, on_small_disk(folder.path(), "size=4k", "/dev/null")).code == 0;
}

}  // namespace

TEST(FailureClass11, APromptInAnOutputNameStaysInItsFolder) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "out");
  for (const char* prompt : {"../../escaped", "/etc/escaped", "..", "a/../../b", "~/x", "-rf"}) {
    Arguments arguments = {
        "generate",        std::string("--prompt=") + prompt, "--steps", "1", "--frames", "1", "-o",
        "out/{prompt}.png"};
    const auto result = run_program(arguments, {}, folder.path());
    expect_done(result);
    const auto made = folder.path() / lines_of(result.out).at(0);
    EXPECT_EQ(std::filesystem::canonical(made).parent_path(), std::filesystem::canonical(folder / "out"))
        << prompt;
  }
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"out"}));
}

TEST(FailureClass12, NoCommandTakesAProtocolForAnOutput) {
  const TemporaryFolder folder;
  expect_done(run_program(
      quick_clip(folder / "clip.y4m", {"--save-latents", (folder / "latents.safetensors").string()})));
  for (const std::string output : {"http://127.0.0.1:9/clip.mp4", "concat:clip.mp4", "pipe:1.mp4",
                                   "tcp:127.0.0.1.mp4", "file:clip.mp4"}) {
    SCOPED_TRACE(output);
    expect_refused(run_program(quick_clip(output), {}, folder.path()), 2, {"protocol"});
    expect_refused(run_program({"decode", "latents.safetensors", "-o", output}, {}, folder.path()), 2,
                   {"protocol"});
  }
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"clip.y4m", "latents.safetensors"}));
}

TEST(FailureClass13, AReadOnlyFolderIsRefusedBeforeWeightsLoad) {
  const TemporaryFolder folder;
  ModelCopy model(folder / "model");
  model.truncate(transformer_file, 1000);
  const auto output = folder / "read-only";
  std::filesystem::create_directory(output);
  std::filesystem::permissions(output, std::filesystem::perms(0555));
  expect_refused(
      run_program(quick_clip(output / "clip.mp4", {"--model", model.path()}), {}, {}, without_override()), 4,
      {output.string(), "Permission denied"});
}

TEST(FailureClass14, AFullDiskEndsWithFourAndLeavesTheLatentsAlone) {
  if (!can_mount()) GTEST_SKIP() << "a small file system can't be mounted here";
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "disk");
  const auto latents = (folder / "latents.safetensors").string();
  for (const auto& [name, options] : std::vector<std::pair<std::string, std::string>>{
           {"clip.mp4", "size=4k"}, {"clip.y4m", "size=64k"}, {"clip%02d.png", "size=16k"}}) {
    SCOPED_TRACE(name);
    const auto result = run_program(
        quick_clip(folder / "disk" / name, {"--frames", "17", "--save-latents", latents}), {}, {},
        on_small_disk(folder / "disk", options, folder / "listing"));
    expect_refused(result, 4, {"No space left on device"});
    EXPECT_EQ(bytes_of(folder / "listing"), "");
    expect_done(run_program({"decode", latents, "-o", (folder / "again.y4m").string()}));
    std::filesystem::remove(latents);
  }
}

// One clip of four has a disk of its own, which is full: the other three are made, and its latents are kept
// where there is room.
TEST(FailureClass14, AClipThatCannotBeWrittenCostsNoOtherClip) {
  if (!can_mount()) GTEST_SKIP() << "a small file system can't be mounted here";
  const TemporaryFolder folder;
  for (const char* name : {"0", "1", "2", "3"}) std::filesystem::create_directory(folder / name);
  const auto result = run_program(quick_clip(folder / "{index}/clip.y4m", {"--count", "4", "--seed", "3"}),
                                  {}, {}, on_small_disk(folder / "1", "size=16k", folder / "listing"));
  EXPECT_EQ(result.code, 4) << result.err;
  const auto failed = (folder / "1/clip.y4m").string();
  EXPECT_NE(result.err.find(failed + " failed: "), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("error: 1 of 4 clips failed; the first: "), std::string::npos) << result.err;
  EXPECT_EQ(lines_of(result.out).size(), 3U) << result.out;
  for (const char* name : {"0", "2", "3"})
    expect_done(run_program({"info", (folder / name / "clip.y4m").string()}));
}

TEST(FailureClass14, AFileThatReachesItsSizeLimitEndsWithFour) {
  const TemporaryFolder folder;
  const Start small_files{.prepare = [] { set_limit(RLIMIT_FSIZE, 4096); }};
  for (const char* name : {"clip.mp4", "clip.mkv", "clip.y4m", "%02d.png"})
    expect_refused(run_program(quick_clip(folder / name, {"--frames", "17"}), {}, {}, small_files), 4,
                   {"File too large"});
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(FailureClass14, AFullStandardOutputEndsWithFour) {
  const TemporaryFolder folder;
  const Start full{.prepare = [] { ::dup2(::open("/dev/full", O_WRONLY), 1); }};
  expect_refused(run_program(quick_clip("-"), {}, {}, full), 4,
                 {"standard output", "No space left on device"});
  expect_refused(run_program(quick_clip(folder / "clip.mp4"), {}, {}, full), 4,
                 {"stdout", "No space left on device"});
  expect_done(run_program({"info", (folder / "clip.mp4").string()}));  // the clip itself was written
}

TEST(FailureClass16, KilledAtFiftyMomentsEveryNameIsCompleteOrAbsent) {
  const TemporaryFolder folder;
  const auto arguments = [&](const std::string& out) {
    std::filesystem::create_directories(folder / out);
    return quick_clip(folder / out / "clip.mp4", {"--steps", "1", "--sidecar", "--save-latents",
                                                  (folder / out / "latents.safetensors").string()});
  };
  const auto whole = run_program(arguments("whole"));
  expect_done(whole);
  // Loading takes most of a run, and it writes nothing then: two thirds of the moments lie in its last third.
  std::mt19937 random(16);
  int complete = 0;
  for (int moment = 0; moment < 50; ++moment) {
    const double from = moment % 3 == 0 ? 0 : 0.66;
    const double seconds = whole.seconds * std::uniform_real_distribution<>(from, 1.05)(random);
    if (moment % 10 == 0)
      std::filesystem::remove_all(folder / "killed");  // otherwise over what the one before left
    Program program(arguments("killed"));
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    program.signal(SIGKILL);
    program.finish();
    for (const auto& name : names_in(folder / "killed")) {
      if (is_temporary(name)) continue;
      ASSERT_TRUE(std::filesystem::exists(folder / "whole" / name)) << name;
      EXPECT_EQ(bytes_of(folder / "killed" / name), bytes_of(folder / "whole" / name))
          << name << " after " << seconds << " s";
      ++complete;
    }
  }
  EXPECT_GT(complete, 0);  // else every moment was too early to tell anything
  expect_done(run_program(arguments("killed")));
  EXPECT_EQ(bytes_of(folder / "killed/clip.mp4"), bytes_of(folder / "whole/clip.mp4"));
}

TEST(FailureClass20, TwoWritersOfOneOutputBothFinishAndTheLastOneWins) {
  const TemporaryFolder folder;
  std::vector<std::string> possible;
  for (const char* seed : {"1", "2"}) {
    expect_done(run_program(quick_clip(folder / "single.mp4", {"--seed", seed})));
    possible.push_back(bytes_of(folder / "single.mp4"));
  }
  ASSERT_NE(possible[0], possible[1]);
  for (int round = 0; round < 3; ++round) {
    Program first(quick_clip(folder / "clip.mp4", {"--seed", "1"}));
    Program second(quick_clip(folder / "clip.mp4", {"--seed", "2"}));
    expect_done(first.finish());
    expect_done(second.finish());
    const auto clip = bytes_of(folder / "clip.mp4");
    EXPECT_TRUE(clip == possible[0] || clip == possible[1]);
  }
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"clip.mp4", "single.mp4"}));
}

TEST(FailureClass23, AWeightFileThatShrinksWhileInUseEndsWithThreeAndItsName) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "out");
  ModelCopy model(folder / "model");
  for (const auto& file : {transformer_file, vae_file}) {
    SCOPED_TRACE(file);
    model.change_tensors(file, [](RawTensors&) {});
    Program program(quick_clip(folder / "out/clip.mp4", {"--model", model.path(), "--steps", "150",
                                                         "--frames", "17", "--progress", "json"}));
    program.wait_for(R"("stage":"denoise")");
    std::filesystem::resize_file(folder / "model" / file, 4096);
    const auto result = program.finish();
    expect_refused(result, 3, {file, "became unreadable while it was in use"});
    EXPECT_TRUE(names_in(folder / "out").empty());
    model.change_tensors(file, [](RawTensors&) {});
  }
}

TEST(FailureClass24, AReaderThatGoesAwayEndsWithFour) {
  for (const bool at_once : {true, false}) {
    int ends[2] = {};
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    if (at_once) ::close(ends[0]);
    Program program(quick_clip("-", {"--frames", "17", "--resize", "256x256"}), {}, {},
                    {.prepare = [&] { ::dup2(ends[1], 1); }});
    ::close(ends[1]);
    if (!at_once) {
      char beginning[100];
      EXPECT_GT(::read(ends[0], beginning, sizeof beginning), 0);
      ::close(ends[0]);
    }
    expect_refused(program.finish(), 4, {"standard output", "Broken pipe"});
  }
}

TEST(FailureClass25, OneAndTwoThreadsMakeTheSameBytes) {
  const TemporaryFolder folder;
  for (const char* size : {"64x64", "80x48"}) {
    for (const char* threads : {"1", "2"})
      expect_done(run_program(quick_clip(folder / (std::string(threads) + ".y4m"),
                                         {"--size", size, "--frames", "9", "--threads", threads})));
    EXPECT_EQ(bytes_of(folder / "1.y4m"), bytes_of(folder / "2.y4m")) << size;
  }
}

TEST(FailureClass27, FilesHaveThePermissionsThatTheUmaskLeavesFromTheirFirstByte) {
  for (const auto& [mask, file_mode, folder_mode] :
       std::vector<std::array<mode_t, 3>>{{077, 0600, 0700}, {022, 0644, 0755}, {027, 0640, 0750}}) {
    const TemporaryFolder folder;
    const auto trace = folder / "trace";
    // A file has its permissions when it is made: whoever may not read the finished file may not read the
    // unfinished one either.
    Program program(
        quick_clip(folder / "clip.y4m", {"--steps", "2", "--sidecar", "--trace", trace.string(),
                                         "--save-latents", (folder / "latents.safetensors").string()}),
        {}, {}, with_umask(mask));
    expect_done(program.finish());
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
      const auto mode = static_cast<mode_t>(entry.status().permissions());
      EXPECT_EQ(mode, entry.is_directory() ? folder_mode : file_mode) << entry.path();
      files += entry.is_directory() ? 0 : 1;
    }
    EXPECT_EQ(files, 6);  // clip, sidecar, latents, text, two steps
  }
}

}  // namespace t2v::test
