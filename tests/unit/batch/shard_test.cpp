#include "batch/shard.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include "errors.h"
#include "paths.h"

namespace t2v {
namespace {

using Variables = std::map<std::string, std::string>;

Shard find(const Variables& variables, const std::optional<std::string>& flag = {}) {
  return find_shard(flag, [&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

void expect_shard(const Shard& shard, int64_t index, int64_t count) {
  EXPECT_EQ(shard.index, index);
  EXPECT_EQ(shard.count, count);
}

TEST(FindShard, TakesTheFlagBeforeTheEnvironment) {
  expect_shard(find({}), 0, 1);
  expect_shard(
      find(
          {{"SLURM_ARRAY_TASK_ID", "2"}, {"SLURM_ARRAY_TASK_COUNT", "4"}, {"RANK", "1"}, {"WORLD_SIZE", "3"}},
          "5/7"),
      5, 7);
}

TEST(FindShard, KnowsSlurmArrays) {
  expect_shard(
      find({{"SLURM_ARRAY_TASK_ID", "2"}, {"SLURM_ARRAY_TASK_COUNT", "4"}, {"SLURM_ARRAY_TASK_MIN", "0"}}), 2,
      4);
  expect_shard(
      find({{"SLURM_ARRAY_TASK_ID", "3"}, {"SLURM_ARRAY_TASK_COUNT", "4"}, {"SLURM_ARRAY_TASK_MIN", "1"}}), 2,
      4);
  expect_shard(find({{"SLURM_ARRAY_TASK_ID", "15"},
                     {"SLURM_ARRAY_TASK_COUNT", "3"},
                     {"SLURM_ARRAY_TASK_MIN", "5"},
                     {"SLURM_ARRAY_TASK_STEP", "5"}}),
               2, 3);
  // Part of an array submitted again: task 3 of what was an array of 8.
  expect_shard(find({{"SLURM_ARRAY_TASK_ID", "3"},
                     {"SLURM_ARRAY_TASK_COUNT", "1"},
                     {"SLURM_ARRAY_TASK_MIN", "3"},
                     {"T2V_SHARDS", "8"}}),
               3, 8);
}

TEST(FindShard, KnowsKubernetesAndRanks) {
  expect_shard(find({{"JOB_COMPLETION_INDEX", "1"}, {"JOB_COMPLETIONS", "3"}}), 1, 3);
  expect_shard(find({{"JOB_COMPLETION_INDEX", "1"}, {"T2V_SHARDS", "3"}}), 1, 3);
  expect_shard(find({{"RANK", "0"}, {"WORLD_SIZE", "2"}}), 0, 2);
  expect_shard(find({{"RANK", ""}, {"T2V_SHARDS", "9"}}), 0, 1);
}

TEST(FindShard, RefusesContradictions) {
  const auto refused = [](const Variables& variables, const std::vector<std::string>& parts,
                          const std::optional<std::string>& flag = {}) {
    test::expect_error(ErrorKind::usage, parts, [&] { find(variables, flag); });
  };
  for (const char* text : {"4", "4/4", "-1/2", "a/b", "1/0", "1/2/3", "1 /2", "0/1000001", ""})
    refused({}, {"--shard"}, text);
  refused({{"SLURM_ARRAY_TASK_ID", "2"}}, {"SLURM_ARRAY_TASK_ID", "--shard I/N"});
  refused({{"SLURM_ARRAY_TASK_ID", "7"}, {"SLURM_ARRAY_TASK_COUNT", "3"}, {"SLURM_ARRAY_TASK_MIN", "1"}},
          {"gaps", "T2V_SHARDS"});
  refused({{"JOB_COMPLETION_INDEX", "1"}}, {"JOB_COMPLETIONS"});
  refused({{"RANK", "2"}, {"WORLD_SIZE", "2"}}, {"RANK", "below the number"});
  refused({{"RANK", "two"}}, {"RANK", "two"});
}

TEST(Shard, SharesAllItemsOutOnce) {
  for (int64_t count = 1; count < 6; ++count)
    for (int64_t item = 0; item < 20; ++item) {
      int holders = 0;
      for (int64_t index = 0; index < count; ++index) holders += Shard{index, count, ""}.holds(item) ? 1 : 0;
      EXPECT_EQ(holders, 1);
    }
}

TEST(FindManifests, ListsShardsInOrderAndNothingElse) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(find_manifests(folder.path()).empty());
  std::filesystem::create_directory(folder / ".t2v");
  for (const char* name : {"shard-10-of-12.sqlite", "shard-2-of-12.sqlite", "shard-0-of-1.sqlite",
                           "shard-3-of-3.sqlite", "shard-x-of-3.sqlite", "shard-0-of-1.lock", "other.sqlite"})
    std::ofstream(folder / ".t2v" / name) << "x";
  const auto found = find_manifests(folder.path());
  ASSERT_EQ(found.size(), 3U);
  expect_shard(found[0].first, 0, 1);
  expect_shard(found[1].first, 2, 12);
  expect_shard(found[2].first, 10, 12);
  EXPECT_EQ(found[0].second, manifest_path(folder.path(), {0, 1, ""}));
}

TEST(ShardLock, IsHeldOnceAndGivenBack) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / ".t2v");
  const Shard first{0, 2, ""}, second{1, 2, ""};
  {
    const ShardLock lock(folder.path(), first);
    EXPECT_TRUE(is_shard_locked(folder.path(), first));
    EXPECT_FALSE(is_shard_locked(folder.path(), second));
    test::expect_error(ErrorKind::output,
                       {"shard 0 of 2 is being made by process " + std::to_string(::getpid())},
                       [&] { ShardLock again(folder.path(), first); });
    const ShardLock other(folder.path(), second);
    // Another number of shards cannot begin while one of these is at work.
    test::expect_error(ErrorKind::output, {"number of shards"}, [&] {
      ShardLock whole(folder.path(), {0, 1, ""});
    });
  }
  EXPECT_FALSE(is_shard_locked(folder.path(), first));
  const ShardLock whole(folder.path(), {0, 1, ""});
}

TEST(ShardLock, EndsWithItsProcessHoweverThatEnds) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / ".t2v");
  const Shard shard{0, 1, ""};
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const auto child = ::fork();
  if (child == 0) {
    const ShardLock lock(folder.path(), shard);
    [[maybe_unused]] const auto written = ::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_TRUE(is_shard_locked(folder.path(), shard));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(is_shard_locked(folder.path(), shard));
  const ShardLock lock(folder.path(), shard);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(FindManifests, AFolderOfManifestsThatCannotBeReadIsNamed) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(find_manifests(folder.path()).empty());
  std::filesystem::create_symlink(".t2v", folder / ".t2v");
  test::expect_error(ErrorKind::output, {(folder / ".t2v").string(), "cannot be read"},
                     [&] { find_manifests(folder.path()); });
}

}  // namespace
}  // namespace t2v
