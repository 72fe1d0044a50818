// SIGINT and SIGTERM: the run stops within a step and leaves nothing half-written.
#include "expect.h"

namespace t2v::test {

namespace {

void expect_stops(int signal, int code) {
  const TemporaryFolder folder;
  Program program(
      quick_clip(folder / "clip.mp4", {"--steps", "1000", "--frames", "17", "--progress", "json"}));
  program.wait_for(R"("stage":"denoise")");
  program.signal(signal);
  const auto steps_at_signal = lines_of(program.err()).size();
  const auto result = program.finish();
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_LE(lines_of(result.err).size(), steps_at_signal + 3);  // the step under way, perhaps the next, and
                                                                // the message
  EXPECT_TRUE(names_in(folder.path()).empty());
}

}  // namespace

TEST(CliSignals, SigintStopsWithinAStepAndLeavesNothing) { expect_stops(SIGINT, 130); }

TEST(CliSignals, SigtermStopsWithinAStepAndLeavesNothing) { expect_stops(SIGTERM, 143); }

TEST(CliSignals, ASecondSignalStopsAtOnce) {
  const TemporaryFolder folder;
  // One step of a clip this large takes minutes, so that only the second signal can end the run.
  Program program(quick_clip(folder / "clip.mp4", {"--size", "1024x1024", "--frames", "17", "--steps", "4"}));
  program.wait_for("load 3/3");
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  program.signal(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  program.signal(SIGTERM);
  const auto result = program.finish(20);
  EXPECT_EQ(result.code, 143) << result.err;
  EXPECT_EQ(result.err.find("denoise"), std::string::npos) << result.err;
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(CliSignals, ClipsFinishedBeforeTheSignalStay) {
  const TemporaryFolder folder;
  Program program(quick_clip(folder / "{index:02}.mp4",
                             {"--count", "99", "--frames", "1", "--steps", "1", "--progress", "json"}));
  program.wait_for(R"("stage":"decode")");
  program.signal(SIGTERM);
  const auto result = program.finish();
  EXPECT_EQ(result.code, 143) << result.err;
  const auto names = names_in(folder.path());
  EXPECT_EQ(names.size(), lines_of(result.out).size());
  for (const auto& name : names) EXPECT_TRUE(name.size() == 6 && name.ends_with(".mp4")) << name;
}

}  // namespace t2v::test
