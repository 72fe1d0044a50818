// Several processes of t2v train that share a run.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <functional>

#include "expect.h"
#include "starts.h"
#include "train_support.h"

namespace t2v::test {
namespace {

// Two processes that train together.
struct Pair {
  Program first, second;
  Pair(const fs::path& config, const fs::path& out, int port_offset, const Arguments& more = {},
       const Start& first_start = {}, const Start& second_start = {})
      : first(arguments(config, out, more), variables("0", port_offset), {}, first_start),
        second(arguments(config, out, more), variables("1", port_offset), {}, second_start) {}
  static Arguments arguments(const fs::path& config, const fs::path& out, Arguments more) {
    more.insert(more.begin(), {"train", config.string(), "--out", out.string()});
    return more;
  }
  static Environment variables(const char* rank, int port_offset) {
    const auto port = std::to_string(20000 + ::getpid() % 20000 + port_offset);
    return {{"WORLD_SIZE", "2"},
            {"RANK", rank},
            {"MASTER_ADDR", "127.0.0.1"},
            {"MASTER_PORT", port},
            {"GLOO_SOCKET_IFNAME", "lo"}};
  }
};

TEST(CliTrain, TwoProcessesGiveTheLossesOfOne) {
  const TemporaryFolder folder;
  const auto config = write_json(folder, both_stages(4));
  expect_done(run_program({"train", config.string(), "--out", (folder / "one").string()}));
  Pair pair(config, folder / "two", 0);
  expect_done(pair.first.finish());
  expect_done(pair.second.finish());
  for (const char* stage : {"1-vae", "2-denoiser"}) {
    const auto alone = losses_of(folder / "one", stage);
    const auto shared = losses_of(folder / "two", stage);
    ASSERT_EQ(alone.size(), shared.size());
    for (std::size_t i = 0; i < alone.size(); ++i)
      EXPECT_NEAR(shared[i] / alone[i], 1, 1e-4) << stage << " step " << i + 1;
  }
}

// Of a schedule in minutes: with clocks of their own they would not take the last step together.
TEST(CliTrain, TwoProcessesShareOneClock) {
  const TemporaryFolder folder;
  auto config = denoiser_config(1);
  config["stages"][0].erase("steps");
  config["stages"][0]["minutes"] = 0.05;
  Pair pair(write_json(folder, config), folder / "run", 1, {"--progress", "json"});
  const auto shares_of_steps = [](Program& process) {
    const auto result = process.finish();
    expect_done(result);
    std::vector<int64_t> shares;
    for (const auto& text : lines_of(result.err)) {
      const auto line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
      if (line.is_object() && line.value("stage", "") == "train 1-denoiser") shares.push_back(line["done"]);
    }
    return shares;
  };
  const auto first = shares_of_steps(pair.first), second = shares_of_steps(pair.second);
  EXPECT_EQ(first, second);
  EXPECT_EQ(first.size(), losses_of(folder / "run", "1-denoiser").size());
  ASSERT_GT(first.size(), 0U);
  EXPECT_EQ(first.back(), 1000);
}

// What a process writes into the cache is in the log of its calls; what it does not write it has not encoded.
TEST(CliTrain, EachOfTwoProcessesMakesItsPartOfTheCache) {
  const TemporaryFolder folder;
  const auto logged = [&](const char* log) {
    return Start{.wrapper = {"strace", "-f", "-qq", "-e", "trace=rename,renameat,renameat2", "-e",
                             "signal=none", "-o", (folder / log).string()}};
  };
  if (run_program({"--version"}, {}, {}, logged("try")).code != 0)
    GTEST_SKIP() << "strace is not there or may not be used here";
  const auto config = write_config(folder, 1, {{"first_shards", 3}});
  expect_done(run_program({"train", config.string(), "--out", (folder / "one").string()}));
  Pair pair(config, folder / "two", 4, {}, logged("first"), logged("second"));
  expect_done(pair.first.finish());
  expect_done(pair.second.finish());
  const auto shards = names_in(folder / "one/latents");
  ASSERT_EQ(shards.size(), 3U);
  EXPECT_EQ(names_in(folder / "two/latents"), shards);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    EXPECT_TRUE(bytes_of(folder / "one/latents" / shards[i]) == bytes_of(folder / "two/latents" / shards[i]));
    const auto written_in = [&](const char* log) {
      return bytes_of(folder / log).find(shards[i]) != std::string::npos;
    };
    EXPECT_EQ(written_in("first"), i % 2 == 0) << shards[i];
    EXPECT_EQ(written_in("second"), i % 2 == 1) << shards[i];
  }
}

TEST(CliTrain, OneOfTwoProcessesStopsBothWithACheckpoint) {
  const TemporaryFolder folder;
  const auto newest = folder / "run" / "1-denoiser-newest.safetensors";
  Pair pair(write_config(folder, 100'000, {{"checkpoint_minutes", 60}}), folder / "run", 2);
  wait_for(folder / "run" / "metrics.jsonl");  // the first step is over
  EXPECT_FALSE(fs::exists(newest));
  pair.second.signal(SIGTERM);
  EXPECT_EQ(pair.second.finish().code, 143);
  const auto first = pair.first.finish();
  EXPECT_EQ(first.code, 143);
  EXPECT_NE(first.err.find("another process"), std::string::npos) << first.err;
  EXPECT_TRUE(fs::exists(newest));
}

TEST(CliTrain, AProcessThatDiesEndsTheOther) {
  const TemporaryFolder folder;
  Pair pair(write_config(folder, 100'000), folder / "run", 3);
  wait_for(folder / "run" / "1-denoiser-newest.safetensors");
  pair.second.signal(SIGKILL);
  pair.second.finish();
  const auto first = pair.first.finish();
  EXPECT_EQ(first.code, 1);
  EXPECT_NE(first.err.find("process 0 of 2 lost the others; start all of them again with --resume"),
            std::string::npos)
      << first.err;
}

}  // namespace
}  // namespace t2v::test
