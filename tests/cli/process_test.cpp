// How the program is started: with closed descriptors.
#include "expect.h"

namespace t2v::test {

namespace {

Start without(const std::vector<int>& descriptors) {
  return {.prepare = [descriptors] {
    for (const int descriptor : descriptors) ::close(descriptor);
  }};
}

}  // namespace

TEST(CliProcess, ClosedDescriptorsDoNotEndUpInTheClip) {
  for (const char* name : {"clip.mp4", "clip.mkv", "clip.y4m", "clip.png"}) {
    const TemporaryFolder folder;
    const Arguments more = {"--frames", "1", "--sidecar", "--trace", "trace"};
    const auto clip = [&] { return bytes_of(folder / name); };
    expect_done(run_program(quick_clip(name, more), {}, folder.path()));
    const auto whole = clip();
    for (const std::vector<int>& descriptors : std::vector<std::vector<int>>{{2}, {0}, {0, 2}}) {
      std::filesystem::remove(folder / name);
      expect_done(run_program(quick_clip(name, more), {}, folder.path(), without(descriptors)));
      EXPECT_TRUE(clip() == whole) << name << " without descriptor " << descriptors.front();
    }
    // The libraries are not to be started anew first either.
    std::filesystem::remove(folder / name);
    expect_done(
        run_program(quick_clip(name, more), {{"OMP_WAIT_POLICY", "passive"}}, folder.path(), without({2})));
    EXPECT_TRUE(clip() == whole) << name;
  }
}

TEST(CliProcess, AClosedStandardOutputEndsWithFour) {
  const TemporaryFolder folder;
  for (const auto& arguments :
       {quick_clip("-"), quick_clip(folder / "clip.mp4"), Arguments{"info"}, Arguments{"info", "--json"}}) {
    expect_refused(run_program(arguments, {}, {}, without({1})), 4, {"Bad file descriptor"});
    EXPECT_EQ(run_program(arguments, {}, {}, without({0, 1, 2})).code, 4);
  }
}

TEST(CliProcess, AClosedStandardInputIsNoEmptyPromptsFile) {
  const TemporaryFolder folder;
  expect_refused(run_program({"batch", "-", "--out-dir", (folder / "out").string()}, {}, {}, without({0})), 2,
                 {"Bad file descriptor"});
}

}  // namespace t2v::test
