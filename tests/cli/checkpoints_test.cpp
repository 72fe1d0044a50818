// --checkpoint-every: a run that was killed goes on where it was, to the same bytes.
#include "expect.h"

namespace t2v::test {

namespace {

Arguments resumable_clip(const TemporaryFolder& folder, const Arguments& more = {}) {
  Arguments arguments = {"--steps", "80", "--frames", "17", "--checkpoint-every", "5", "--progress", "plain"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return quick_clip(folder / "clip.mp4", arguments);
}

std::filesystem::path checkpoint_in(const TemporaryFolder& folder) {
  return folder / ".clip.mp4.checkpoint.safetensors";
}

// Starts the clip and kills it (kill -9) once it has left a checkpoint.
void start_and_kill(const TemporaryFolder& folder) {
  Program program(resumable_clip(folder));
  for (int i = 0; i < 20'000 && !std::filesystem::exists(checkpoint_in(folder)); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  program.signal(SIGKILL);
  EXPECT_EQ(program.finish().code, 1000 + SIGKILL);
  ASSERT_TRUE(std::filesystem::exists(checkpoint_in(folder)));
  ASSERT_FALSE(std::filesystem::exists(folder / "clip.mp4"));
}

}  // namespace

TEST(CliCheckpoints, AKilledRunGoesOnToTheSameBytes) {
  const TemporaryFolder folder;
  const TemporaryFolder whole;
  expect_done(run_program(resumable_clip(whole)));
  EXPECT_EQ(names_in(whole.path()), std::vector<std::string>{"clip.mp4"});
  start_and_kill(folder);
  const auto result = run_program(resumable_clip(folder));
  expect_done(result);
  EXPECT_NE(result.err.find("goes on after step"), std::string::npos) << result.err;
  EXPECT_TRUE(bytes_of(folder / "clip.mp4") == bytes_of(whole / "clip.mp4"));
  EXPECT_FALSE(std::filesystem::exists(checkpoint_in(folder)));
}

TEST(CliCheckpoints, ChangedSettingsAreRefusedNamingWhatDiffers) {
  const TemporaryFolder folder;
  start_and_kill(folder);
  const auto before = bytes_of(checkpoint_in(folder));
  expect_refused(run_program(resumable_clip(folder, {"--guidance-scale", "2"})), 2,
                 {"guidance_scale", "2.0 now", "delete the checkpoint"});
  EXPECT_TRUE(bytes_of(checkpoint_in(folder)) == before);
}

TEST(CliCheckpoints, ADamagedCheckpointIsRefused) {
  const TemporaryFolder folder;
  start_and_kill(folder);
  std::filesystem::resize_file(checkpoint_in(folder), std::filesystem::file_size(checkpoint_in(folder)) / 2);
  expect_refused(run_program(resumable_clip(folder)), 3, {".clip.mp4.checkpoint.safetensors"});
}

}  // namespace t2v::test
