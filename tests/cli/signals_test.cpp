// SIGINT, SIGTERM and SIGHUP: the run stops within a step and leaves nothing half-written.
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

TEST(CliSignals, SighupStopsWithinAStepAndLeavesNothing) { expect_stops(SIGHUP, 129); }

TEST(CliSignals, SighupWhileWritingLeavesNothing) {
  const TemporaryFolder folder;
  const auto latents = (folder / "l.safetensors").string();
  expect_done(run_program(quick_clip(folder / "clip.y4m", {"--frames", "257", "--window", "257", "--steps", "1",
                                                           "--size", "128x128", "--save-latents", latents})));
  const auto names = names_in(folder.path());
  Program decode({"decode", latents, "-o", (folder / "again.mp4").string(), "--resize", "1024x1024",
                  "--progress", "json"});
  decode.wait_for(R"("stage":"decode")");
  decode.signal(SIGHUP);
  EXPECT_EQ(decode.finish().code, 129);
  EXPECT_EQ(names_in(folder.path()), names);
  Program encode({"encode", (folder / "clip.y4m").string(), "-o", (folder / "again.safetensors").string(),
                  "--progress", "json"});
  encode.wait_for(R"("stage":"encode")");
  encode.signal(SIGHUP);
  EXPECT_EQ(encode.finish().code, 129);
  EXPECT_EQ(names_in(folder.path()), names);
}

TEST(CliSignals, ASignalThatWasIgnoredAtTheStartStaysIgnored) {
  const TemporaryFolder folder;
  const Start nohup{.prepare = [] {
    for (const int stop : {SIGINT, SIGHUP}) ::signal(stop, SIG_IGN);
  }};
  Program program(quick_clip(folder / "clip.mp4", {"--steps", "300", "--progress", "json"}), {}, {}, nohup);
  program.wait_for(R"("stage":"denoise")");
  for (const int stop : {SIGINT, SIGHUP, SIGINT}) program.signal(stop);
  expect_done(program.finish());
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"clip.mp4"}));
}

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
