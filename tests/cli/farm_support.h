// Batches that take long enough to be stopped in the middle.
#pragma once

#include <sys/prctl.h>

#include "batch_support.h"

namespace t2v::test {

// JSON Lines of `count` clips with ids clip-0, clip-1, …; a handful of seconds together, few of them in one
// forward pass.
inline std::string jobs_lines(int count, int frames = 17, int steps = 16) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += nlohmann::json{{"id", "clip-" + std::to_string(i)},
                           {"prompt", "a red circle bouncing on a navy background"},
                           {"frames", frames},
                           {"steps", steps},
                           {"token_budget", 200}}
                .dump() +
            "\n";
  return text;
}

// What the same jobs are without shards and interruptions: name → bytes.
inline std::map<std::string, std::string> made_in_one_go(const std::filesystem::path& jobs,
                                                         const std::filesystem::path& folder) {
  expect_done(run_program({"batch", jobs.string(), "--out-dir", folder.string(), "--progress", "none"}));
  return clips_in(folder);
}

// Every item is done, in one manifest only, as it should be, and nothing else lies there.
inline void expect_every_item_once(const std::filesystem::path& folder,
                                   const std::map<std::string, std::string>& whole) {
  const auto status = status_of(folder);
  EXPECT_EQ(status.at("done"), whole.size()) << status;
  std::size_t in_shards = 0;
  for (const auto& shard : status.at("shards")) in_shards += shard.at("done").get<std::size_t>();
  EXPECT_EQ(in_shards, whole.size()) << status;
  for (const char* other : {"failed", "running", "pending"}) EXPECT_EQ(status.at(other), 0) << other;
  EXPECT_TRUE(clips_in(folder) == whole);
  for (const auto& name : names_in(folder)) EXPECT_TRUE(name == ".t2v" || whole.contains(name)) << name;
}

// A shell command in a process namespace of its own where that is possible (as root; in a user namespace
// slurmctld may not set its groups): whatever it starts ends with it.
inline Start in_own_processes(Arguments command) {
  const Arguments apart = {"unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"};
  Start start{.wrapper = apart, .prepare = [] { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }};
  if (run_program({"--version"}, {}, {}, start).code != 0) start.wrapper.clear();
  start.wrapper.insert(start.wrapper.end(), command.begin(), command.end());
  return start;
}

}  // namespace t2v::test
