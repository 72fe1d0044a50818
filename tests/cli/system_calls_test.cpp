// What the program asks of the operating system, by strace.
#include "batch_support.h"
#include "starts.h"

namespace t2v::test {

namespace {

// The calls of `kinds` (as strace's -e trace= takes them) that one run makes, a line each; nothing where
// strace can't be used.
std::optional<std::vector<std::string>> calls_of(const std::string& kinds, const Arguments& arguments,
                                                 const Environment& variables = {}) {
  const TemporaryFolder folder;
  const auto log = folder / "calls";
  const auto strace = [&](const Arguments& what) {
    return run_program(what, variables, {},
                       {.wrapper = {"strace", "-f", "-qq", "-e", "trace=" + kinds, "-e", "signal=none", "-o",
                                    log.string()}});
  };
  if (strace({"--version"}).code != 0) return std::nullopt;
  expect_done(strace(arguments));
  return lines_of(bytes_of(log));
}

}  // namespace

TEST(SystemCalls, NothingIsAskedOfTheNetwork) {
  const TemporaryFolder folder;
  const auto clip = (folder / "clip.mp4").string(), latents = (folder / "latents.safetensors").string();
  for (const Arguments& arguments :
       {quick_clip(clip, {"--save-latents", latents, "--sidecar"}),
        Arguments{"decode", latents, "-o", (folder / "again.mkv").string()},
        Arguments{"encode", clip, "-o", (folder / "encoded.safetensors").string()}, Arguments{"info", clip},
        Arguments{"info", "world-128"}, Arguments{"info"}}) {
    const auto calls = calls_of("network", arguments);
    if (!calls) GTEST_SKIP() << "strace is not there or may not be used here";
    EXPECT_EQ(*calls, std::vector<std::string>{}) << arguments[0];
  }
}

// Of a large batch a shard looks at its own items' files alone, and tries once whether their folder can be
// written.
TEST(SystemCalls, AShardOfALargeBatchTouchesItsOwnFilesAlone) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(10'000));
  const auto out = (folder / "out").string();
  const auto calls_on_folder = [&](const Arguments& more) -> std::optional<std::vector<std::string>> {
    auto calls = calls_of("%file", batch(folder / "p.txt", out, more));
    if (!calls) return std::nullopt;
    std::erase_if(*calls, [&](const std::string& call) { return call.find(out) == std::string::npos; });
    return calls;
  };
  const auto probes = [](const std::vector<std::string>& calls) {
    return std::count_if(calls.begin(), calls.end(), [](const std::string& call) {
      return call.find("t2v-write-test") != std::string::npos && call.find("O_CREAT") != std::string::npos;
    });
  };
  const auto planned = calls_on_folder({"--shard", "3/64", "--dry-run"});
  if (!planned) GTEST_SKIP() << "strace is not there or may not be used here";
  EXPECT_EQ(probes(*planned), 1);
  EXPECT_LT(planned->size(), 157U * 10);  // its own items, and nothing of the other 9,843
  const auto made = calls_on_folder({"--shard", "1/5000"});
  EXPECT_EQ(probes(*made), 1);
  EXPECT_LT(made->size(), 200U);  // 2 items
  EXPECT_EQ(clips_in(folder / "out").size(), 2U);
}

TEST(FailureClass27, NothingIsWrittenOutsideTheOutputsFolder) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "out");
  std::filesystem::create_directory(folder / "tmp");
  const auto calls = calls_of(
      "openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat",
      quick_clip(folder / "out/clip.mp4", {"--sidecar", "--trace", (folder / "out/trace").string()}),
      {{"TMPDIR", (folder / "tmp").string()}});
  if (!calls) GTEST_SKIP() << "strace is not there or may not be used here";
  int made = 0;
  for (const auto& call : *calls) {
    const bool opens = call.find(" open") != std::string::npos;
    if (opens && call.find("O_WRONLY") == std::string::npos && call.find("O_RDWR") == std::string::npos)
      continue;
    if (call.find("<... ") != std::string::npos) continue;  // the end of a call whose beginning has been seen
    EXPECT_NE(call.find((folder / "out").string()), std::string::npos) << call;
    ++made;
  }
  EXPECT_GE(made, 5 * 2);  // clip, sidecar, text and two steps: each made and renamed
  EXPECT_TRUE(names_in(folder / "tmp").empty());
}

}  // namespace t2v::test
