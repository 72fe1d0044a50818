// t2v batch interrupted, killed, sharded, and started twice: nothing finished is lost, and the result is the
// same.
#include <random>

#include "batch_support.h"

namespace t2v::test {

namespace {

std::string shard_text(int index, int count) { return std::to_string(index) + "/" + std::to_string(count); }

// Every item done, exactly once over all shards.
void expect_complete(const std::filesystem::path& folder, int items) {
  const auto status = status_of(folder);
  EXPECT_EQ(status.at("done"), items) << status;
  for (const char* other : {"failed", "running", "pending"}) EXPECT_EQ(status.at(other), 0) << other;
  EXPECT_EQ(clips_in(folder).size(), static_cast<std::size_t>(items));
  for (const auto& name : names_in(folder)) EXPECT_TRUE(name == ".t2v" || name.ends_with(".mp4")) << name;
}

}  // namespace

TEST(CliBatchShards, ResultsDoNotDependOnSharding) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(7));
  expect_done(run_program(batch(folder / "p.txt", folder / "one")));
  for (int shard : {2, 0, 1})
    expect_done(run_program(batch(folder / "p.txt", folder / "three", {"--shard", shard_text(shard, 3)})));
  EXPECT_TRUE(clips_in(folder / "one") == clips_in(folder / "three"));
  expect_complete(folder / "three", 7);
  EXPECT_EQ(status_of(folder / "three").at("shards").size(), 3U);
  // The number of shards may change: what others finished counts.
  const auto again = run_program(batch(folder / "p.txt", folder / "three"));
  expect_done(again);
  EXPECT_EQ(again.out, "");
  const auto extended = numbered_prompts(9);
  write_bytes(folder / "p.txt", extended);
  int made = 0;
  for (int shard : {0, 1}) {
    const auto result = run_program(
        batch(folder / "p.txt", folder / "three", {"--shard", shard_text(shard, 2)}));
    expect_done(result);
    made += static_cast<int>(lines_of(result.out).size());
  }
  EXPECT_EQ(made, 2);
  expect_complete(folder / "three", 9);
}

TEST(CliBatchShards, ComeFromTheSchedulersEnvironment) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(3));
  const std::vector<Environment> schedulers = {
      {{"SLURM_ARRAY_TASK_ID", "1"}, {"SLURM_ARRAY_TASK_COUNT", "3"}, {"SLURM_ARRAY_TASK_MIN", "1"}},
      {{"JOB_COMPLETION_INDEX", "1"}, {"T2V_SHARDS", "3"}},
      {{"RANK", "2"}, {"WORLD_SIZE", "3"}},
  };
  for (const auto& environment : schedulers) {
    const auto result = run_program(batch(folder / "p.txt", folder / "out"), environment);
    expect_done(result);
    EXPECT_EQ(lines_of(result.out).size(), 1U);
    EXPECT_NE(result.err.find("of 3 (" + environment[0].first), std::string::npos) << result.err;
  }
  expect_complete(folder / "out", 3);
}

void expect_completed_after(int signal, int code) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(40));
  const auto arguments = batch(folder / "p.txt", folder / "out", {"--progress", "json", "--steps", "4"});
  Program program(arguments);
  program.wait_for(R"("done":3,"event":"progress","stage":"clips")");
  program.signal(signal);
  const auto stopped = program.finish();
  EXPECT_EQ(stopped.code, code) << stopped.err;
  const auto status = status_of(folder / "out");
  EXPECT_EQ(status.at("running"), 0);
  EXPECT_EQ(status.at("failed"), 0);
  EXPECT_EQ(status.at("done"), clips_in(folder / "out").size());
  EXPECT_EQ(status.at("done"), lines_of(stopped.out).size());
  EXPECT_LT(status.at("done").get<int>(), 40);
  const auto rest = run_program(arguments);
  expect_done(rest);
  EXPECT_EQ(lines_of(rest.out).size() + lines_of(stopped.out).size(), 40U);
  expect_complete(folder / "out", 40);
}

TEST(CliBatchSignals, SigtermLeavesAManifestThatTheSameCommandCompletes) {
  expect_completed_after(SIGTERM, 143);
}

TEST(CliBatchSignals, SighupLeavesAManifestThatTheSameCommandCompletes) {
  expect_completed_after(SIGHUP, 129);
}

// Failure class 16 for batches.
TEST(CliBatchSignals, KilledAtAnyMomentItIsCompletedByTheSameCommand) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(24));
  expect_done(run_program(batch(folder / "p.txt", folder / "whole", {"--sidecar"})));
  const auto whole = clips_in(folder / "whole");
  std::mt19937 random(11);
  const auto arguments = batch(folder / "p.txt", folder / "out", {"--sidecar"});
  for (int round = 0; round < 10; ++round) {
    Program program(arguments);
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 700));
    program.signal(SIGKILL);
    program.finish();
    if (!std::filesystem::exists(folder / "out")) continue;
    for (const auto& [name, bytes] : clips_in(folder / "out"))
      EXPECT_TRUE(bytes == whole.at(name)) << name;  // whole, or absent
  }
  expect_done(run_program(arguments));
  EXPECT_TRUE(clips_in(folder / "out") == whole);
  const auto status = status_of(folder / "out");
  EXPECT_EQ(status.at("done"), 24);
  EXPECT_EQ(status.at("pending"), 0);
  EXPECT_EQ(names_in(folder / "out"), names_in(folder / "whole"));  // no temporary file is left
}

// Failure class 20 for batches.
TEST(CliBatchShards, ASecondProcessOnAShardIsRefused) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(60));
  const auto arguments = batch(folder / "p.txt", folder / "out", {"--progress", "json", "--steps", "20"});
  Program first(arguments);
  first.wait_for(R"("stage":"denoise")");
  expect_refused(run_program(batch(folder / "p.txt", folder / "out", {"--steps", "20"})), 4,
                 {"shard 0 of 1 is being made by process", "wait for it to end"});
  expect_refused(run_program(batch(folder / "p.txt", folder / "out", {"--steps", "20", "--shard", "0/2"})), 4,
                 {"the number of shards can change only while none runs"});
  EXPECT_TRUE(status_of(folder / "out").at("shards").at(0).at("working"));
  first.signal(SIGTERM);
  EXPECT_EQ(first.finish().code, 143);
}

TEST(CliBatchShards, WorkSideBySideInOneFolder) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(12));
  std::vector<std::unique_ptr<Program>> programs;
  for (int shard = 0; shard < 3; ++shard)
    programs.push_back(std::make_unique<Program>(
        batch(folder / "p.txt", folder / "out", {"--shard", shard_text(shard, 3)})));
  std::size_t made = 0;
  for (const auto& program : programs) {
    const auto result = program->finish();
    expect_done(result);
    made += lines_of(result.out).size();
  }
  EXPECT_EQ(made, 12U);
  expect_complete(folder / "out", 12);
}

}  // namespace t2v::test
