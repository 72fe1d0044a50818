// Memory: the plan's estimate against the measured peak, --memory-limit, and a real limit on the process.
#include <cstdio>
#include <map>

#include "base/json.h"
#include "expect.h"
#include "sanitizer.h"

namespace t2v::test {

namespace {

constexpr int64_t mebi = int64_t{1} << 20;

// One step each: more of them take no more memory.
Arguments one_step(const TemporaryFolder& folder, const Arguments& more) {
  Arguments arguments = {"generate",
                         "-p",
                         "a red circle",
                         "--seed",
                         "1",
                         "--steps",
                         "1",
                         "--progress",
                         "none",
                         "-o",
                         (folder / "{index}.mp4").string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

int64_t estimated_peak(Arguments arguments) {
  arguments.push_back("--dry-run");
  return Json::parse(run_program(arguments).out).at("memory").at("peak").get<int64_t>() / mebi;
}

struct LimitedResult {
  int code = -1;
  std::string output;  // stdout and stderr
};

// With so much address space and no more (RLIMIT_AS).
LimitedResult run_in(int64_t megabytes, const Arguments& arguments) {
  std::string command = "ulimit -v " + std::to_string(megabytes * 1024) + "; exec '" + binary().string() +
                        "'";
  for (const auto& argument : arguments) command += " '" + argument + "'";
  LimitedResult result;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  char buffer[4096];
  while (const auto count = std::fread(buffer, 1, sizeof buffer, pipe)) result.output.append(buffer, count);
  const int status = ::pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return result;
}

}  // namespace

// docs/memory.md has more cases, within a fifth on a quiet machine; a busy one decides how much of decoding
// and denoising coincides.
TEST(CliMemory, TheEstimateIsNearTheMeasuredPeak) {
  if (has_sanitizer) GTEST_SKIP() << "a sanitizer's own memory counts as well";
  for (const Arguments& more :
       std::vector<Arguments>{{},
                              {"--count", "8"},
                              {"--size", "256x256", "--frames", "17"},
                              {"-m", golden("wan-tiny").string(), "--size", "256x256", "--frames", "17"}}) {
    const TemporaryFolder folder;
    const auto arguments = one_step(folder, more);
    const auto result = run_program(arguments);
    expect_done(result);
    const auto ratio = static_cast<double>(estimated_peak(arguments)) /
                       static_cast<double>(result.peak_megabytes);
    std::string name;
    for (const auto& word : more) name += word + " ";
    EXPECT_GT(ratio, 0.75) << name;
    EXPECT_LT(ratio, 1.25) << name;
  }
}

TEST(CliMemory, ALimitIsHeldWithSmallerPacksAndTheSameBytes) {
  const TemporaryFolder folder;
  const auto free_run = one_step(folder, {"-m", "world-128", "--count", "3", "--size", "256x256", "--frames",
                                          "29", "--token-budget", "100000", "--threads", "2"});
  expect_done(run_program(free_run));
  std::vector<std::string> clips;
  for (int i = 0; i < 3; ++i) clips.push_back(bytes_of(folder / (std::to_string(i) + ".mp4")));
  auto limited_run = free_run;
  limited_run.insert(limited_run.end(), {"--memory-limit", "315MB"});
  ASSERT_GT(estimated_peak(free_run), 315);
  EXPECT_LE(estimated_peak(limited_run), 315);
  const auto limited = run_program(limited_run);
  expect_done(limited);
  EXPECT_NE(limited.err.find("to stay within 315 MB"), std::string::npos) << limited.err;
  if (!has_sanitizer) {
    EXPECT_LT(limited.peak_megabytes, 315 * 1.2);
  }
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(bytes_of(folder / (std::to_string(i) + ".mp4")) == clips[static_cast<std::size_t>(i)]) << i;
}

TEST(CliMemory, WhatCannotFitIsRefusedBeforeLoadingWithFlagsThatWould) {
  const TemporaryFolder folder;
  const auto result = run_program(
      one_step(folder, {"-m", "world-128", "--size", "1024x1024", "--memory-limit", "400MB"}));
  expect_refused(result, 5, {"1024x1024", "17 frames", "400 MB", "--frames", "--size", "would fit"});
  EXPECT_TRUE(names_in(folder.path()).empty());
  expect_refused(run_program(one_step(folder, {"--memory-limit", "lots"})), 2, {"--memory-limit", "'lots'"});
}

TEST(CliMemory, AFailedAllocationHalvesThePackAndSaysSo) {
  if (has_sanitizer) GTEST_SKIP() << "sanitizers reserve terabytes of address space";
  const TemporaryFolder folder;
  auto arguments = one_step(folder, {"-m", "world-128", "--count", "24", "--size", "128x128", "--frames",
                                     "29", "--token-budget", "100000", "--threads", "1"});
  // Raw frames: an H.264 encoder takes memory of its own, and whether it gets it at this limit is a matter of
  // timing.
  for (auto& word : arguments)
    if (word.ends_with(".mp4")) word = (folder / "{index}.y4m").string();
  // How much address space the libraries take is the machine's: the limit goes down until the pack does not
  // fit.
  LimitedResult result;
  const auto halved = [&] {
    return result.output.find("memory did not suffice to denoise 24 clips together") != std::string::npos;
  };
  int64_t megabytes = 1300;
  for (result = run_in(megabytes, arguments); result.code == 0 && !halved() && megabytes > 500;) {
    megabytes -= 50;
    result = run_in(megabytes, arguments);
  }
  EXPECT_EQ(result.code, 0) << megabytes << " MB: " << result.output;
  EXPECT_TRUE(halved()) << megabytes << " MB: " << result.output;
  EXPECT_EQ(names_in(folder.path()).size(), 24U);
}

// Less memory than the libraries need to start ends before main; from there on there is too little for the
// encoder, its threads, the decoder.
TEST(CliMemory, HoweverLittleMemoryADecodeHasItIsDoneOrEndsWithFive) {
  if (has_sanitizer) GTEST_SKIP() << "sanitizers reserve terabytes of address space";
  const TemporaryFolder folder;
  const auto latents = (folder / "l.safetensors").string();
  expect_done(run_program(quick_clip(folder / "clip.y4m", {"-m", "world-128", "--save-latents", latents})));
  const auto decode = [&](int64_t megabytes) {
    return run_in(megabytes, {"decode", latents, "-m", "world-128", "--resize", "1024x1024", "--threads", "1",
                              "-o", (folder / "clip.mp4").string()});
  };
  const auto begun = [](const LimitedResult& result) {
    return result.output.find("error: ") != std::string::npos;
  };
  int out_of_memory = 0;
  int64_t megabytes = 400;
  auto result = decode(megabytes);
  for (; result.code != 0 && megabytes < 2000; megabytes += 15, result = decode(megabytes)) {
    if (out_of_memory == 0 && !begun(result)) continue;
    EXPECT_EQ(result.code, 5) << megabytes << " MB: " << result.output;
    out_of_memory += result.code == 5 ? 1 : 0;
  }
  EXPECT_EQ(result.code, 0) << result.output;
  EXPECT_GT(out_of_memory, 2);
}

TEST(CliMemory, AFailedAllocationOfAClipByItselfEndsWithTheEstimateAndFlags) {
  if (has_sanitizer) GTEST_SKIP() << "sanitizers reserve terabytes of address space";
  const TemporaryFolder folder;
  // One thread: libgomp ends a process whose next thread finds no memory.
  const auto result = run_in(
      850, one_step(folder, {"-m", "world-128", "--size", "2048x2048", "--frames", "1", "--threads", "1"}));
  EXPECT_EQ(result.code, 5) << result.output;
  for (const char* part : {"out of memory", "2048x2048, 1 frames", "needs about", "--size"})
    EXPECT_NE(result.output.find(part), std::string::npos) << result.output;
  EXPECT_FALSE(std::filesystem::exists(folder / "0.mp4"));
}

// Random models of two families, an encoder of pictures, a control branch and two experts.
TEST(CliMemory, OffloadedWeightsMakeTheSameBytes) {
  const TemporaryFolder folder;
  const auto picture = (golden("wan-pictures") / "picture.png").string();
  for (const auto& [model, more] :
       std::vector<std::pair<std::string, Arguments>>{{"wan-tiny", {"--count", "2"}},
                                                      {"cogvideox-5b", {}},
                                                      {"wan22-a14b", {}},
                                                      {"wan21-i2v", {"--image", picture}},
                                                      {"wan21-vace", {}}}) {
    SCOPED_TRACE(model);
    std::map<std::string, std::string> made;
    for (const std::string way : {"none", "stage", "block"}) {
      Arguments arguments = {"generate",
                             "-m",
                             golden(model).string(),
                             "-p",
                             "two cats",
                             "--size",
                             "32x32",
                             "--steps",
                             "2",
                             "--seed",
                             "3",
                             "--frames",
                             "9",
                             "--offload",
                             way,
                             "--progress",
                             "none",
                             "-o",
                             (folder / (way + "{seed}.y4m")).string()};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const auto result = run_program(arguments);
      ASSERT_EQ(result.code, 0) << result.err;
      made[way] = bytes_of(folder / (way + "3.y4m"));
    }
    EXPECT_EQ(made["none"], made["stage"]);
    EXPECT_EQ(made["none"], made["block"]);
  }
}

TEST(CliMemory, ThePlanSaysWhereWeightsAreAndForHowLong) {
  const auto placed = [](const std::string& way) {
    const auto plan = Json::parse(
        run_program({"generate", "-p", "a red circle", "-o", "a.mp4", "--dry-run", "--offload", way}).out);
    return plan.at("placement");
  };
  EXPECT_EQ(placed("auto").at("transformer"),
            (Json{{"device", "cpu"}, {"dtype", "float32"}, {"residency", "resident"}}));
  EXPECT_EQ(placed("stage").at("transformer").at("residency"), "stage");
  EXPECT_EQ(placed("block").at("text_encoder").at("residency"), "block");
  EXPECT_EQ(placed("block").at("vae").at("residency"), "resident");
  expect_refused(run_program({"generate", "-p", "a red circle", "-o", "a.mp4", "--offload", "disk"}), 2,
                 {"--offload should be auto, none, stage or block", "'disk'"});
}

}  // namespace t2v::test
