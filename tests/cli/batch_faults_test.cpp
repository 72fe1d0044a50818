// t2v batch on a full disk, with a clock that jumps, and killed in the middle of a clip.
#include <set>

#include "farm_support.h"
#include "starts.h"

namespace t2v::test {

// The same command twice on a disk that is too small at first; what is on it after each is copied away.
TEST(FailureClass14, ABatchGoesOnWhenAFullDiskHasRoomAgain) {
  // Small clips, where it is the manifest that finds no room; large ones, whose own files do not fit.
  for (const auto& [size, crf] :
       std::vector<std::pair<std::string, std::string>>{{"84k", "18"}, {"160k", "0"}}) {
    SCOPED_TRACE(size);
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder / "disk");
    write_bytes(folder / "p.txt", numbered_prompts(12));
    const auto into = [&](const std::string& out) {
      return batch(folder / "p.txt", folder / out, {"--frames", "5", "--crf", crf, "--progress", "none"});
    };
    const Start twice{.wrapper = {"unshare", "--map-root-user", "--mount", "sh", "-c",
                                  "cd \"$0\" && mount -t tmpfs -o size=$1 tmpfs disk || exit 99; shift\n"
                                  "\"$@\"; first=$?; cp -a disk first\n"
                                  "mount -o remount,size=64m disk || exit 99\n"
                                  "\"$@\"; second=$?; cp -a disk second; echo \"$first $second\" >codes",
                                  folder.path().string(), size}};
    const auto result = run_program(into("disk/out"), {}, {}, twice);
    if (!std::filesystem::exists(folder / "codes"))
      GTEST_SKIP() << "a small file system can't be mounted here";
    EXPECT_EQ(bytes_of(folder / "codes"), "4 0\n") << result.err;
    EXPECT_TRUE(result.err.find("No space left on device") != std::string::npos ||
                result.err.find("disk is full") != std::string::npos)
        << result.err;

    expect_done(run_program(into("whole")));
    const auto whole = clips_in(folder / "whole");
    const auto first = clips_in(folder / "first/out");
    EXPECT_GT(first.size(), 0U);
    EXPECT_LT(first.size(), whole.size());
    for (const auto& [name, bytes] : first) EXPECT_TRUE(bytes == whole.at(name)) << name;
    expect_every_item_once(folder / "second/out", whole);  // nor are kept latents left
    // What the first run had finished was not made again.
    std::set<std::string> printed;
    for (const auto& path : lines_of(result.out)) EXPECT_TRUE(printed.insert(path).second) << path;
    EXPECT_EQ(printed.size(), whole.size());
  }
}

namespace {

// The program with another clock: `shift` is "+1y" or "-1y". The clock that measures durations goes on as
// always, as it does when a real one is set.
Start with_clock(const std::string& shift) {
  return {.wrapper = {"faketime", "-m", "--exclude-monotonic", "-f", shift}};
}

bool can_change_clock() {
  return !has_sanitizer && run_program({"--version"}, {}, {}, with_clock("+1y")).code == 0;
}

void expect_sane_times(const std::filesystem::path& log) {
  int items = 0;
  for (const auto& event : json_lines(bytes_of(log))) {
    for (const char* key : {"seconds", "denoise_seconds", "decode_seconds"}) {
      if (!event.contains(key)) continue;
      EXPECT_GE(event.at(key), 0) << event;
      EXPECT_LT(event.at(key), 600) << event;
    }
    items += event.at("event") == "item" ? 1 : 0;
  }
  EXPECT_GT(items, 0);
}

}  // namespace

TEST(CliBatchClock, WhatIsNewerDoesNotDependOnTheClock) {
  if (!can_change_clock()) GTEST_SKIP() << "the clock can't be changed here (faketime)";
  const TemporaryFolder folder;
  const auto bad = failing_item(folder.path());
  auto good = bad;
  good.erase("init_latents");
  const auto log = folder / "log.jsonl";
  const Arguments flags = {"--log-json", log.string(), "--progress", "plain"};
  const auto with = [&](Arguments more) {
    more.insert(more.end(), flags.begin(), flags.end());
    return batch(folder / "p.jsonl", folder / "out", more);
  };
  const auto lines =
      "{\"id\": \"a\", \"prompt\": \"a\"}\n{\"id\": \"c\", \"prompt\": \"c\"}\n{\"id\": \"d\", \"prompt\": "
      "\"d\"}\n";
  // Half of the batch, a year ahead: "bad" fails, "c" is made.
  write_bytes(folder / "p.jsonl", bad.dump() + "\n" + lines);
  EXPECT_EQ(run_program(with({"--shard", "0/2"}), {}, {}, with_clock("+1y")).code, 7);
  // All of it, a year back, with what was bad put right: its row in the old manifest is the later one by the
  // clock.
  write_bytes(folder / "p.jsonl", good.dump() + "\n" + lines);
  const auto rest = run_program(with({"--json"}), {}, {}, with_clock("-1y"));
  expect_done(rest);
  std::map<std::string, std::string> states;
  for (const auto& line : json_lines(rest.out)) states[line.at("id")] = line.at("state");
  EXPECT_EQ(states, (std::map<std::string, std::string>{
                        {"a", "done"}, {"bad", "done"}, {"c", "skipped"}, {"d", "done"}}));
  const auto status = status_of(folder / "out");
  EXPECT_EQ(status.at("done"), 4) << status;
  EXPECT_EQ(status.at("failed"), 0) << status;
  EXPECT_GE(status.at("clips_per_minute"), 0);
  EXPECT_LT(status.at("clips_per_minute"), 100'000);
  const auto again = run_program(with({"--json"}));
  expect_done(again);
  for (const auto& line : json_lines(again.out)) EXPECT_EQ(line.at("state"), "skipped");
  expect_sane_times(log);
  expect_done(run_program({"report", (folder / "out").string()}));
  const auto page = bytes_of(folder / "out/report.html");
  EXPECT_NE(page.find("4 done"), std::string::npos);
  EXPECT_EQ(page.find("failed\""), std::string::npos) << "an item is shown as failed";
  EXPECT_EQ(page.find(">-"), std::string::npos) << "a negative time";
}

TEST(CliBatchClock, MayJumpInTheMiddleOfARun) {
  if (!can_change_clock()) GTEST_SKIP() << "the clock can't be changed here (faketime)";
  const TemporaryFolder folder;
  write_bytes(folder / "jobs.jsonl", jobs_lines(6));
  write_bytes(folder / "clock", "+1y\n");
  const auto log = folder / "log.jsonl";
  // faketime's own variable would win over the file.
  auto start = with_clock("+0");
  start.wrapper.insert(start.wrapper.end(), {"env", "-u", "FAKETIME"});
  Program program({"batch", (folder / "jobs.jsonl").string(), "--out-dir", (folder / "out").string(),
                   "--log-json", log.string(), "--progress", "json"},
                  {{"FAKETIME_TIMESTAMP_FILE", (folder / "clock").string()}, {"FAKETIME_NO_CACHE", "1"}}, {},
                  start);
  program.wait_for(R"("done":2,"event":"progress","stage":"clips")");
  write_bytes(folder / "clock", "-1y\n");
  expect_done(program.finish());
  expect_every_item_once(folder / "out", made_in_one_go(folder / "jobs.jsonl", folder / "whole"));
  const auto events = json_lines(bytes_of(log));
  EXPECT_GT(events.front().at("time"), events.back().at("time"));  // it did jump
  expect_sane_times(log);
}

TEST(CliCheckpoints, AnItemOfABatchThatWasKilledGoesOnToTheSameBytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "jobs.jsonl", jobs_lines(3, 17, 60));
  const Arguments arguments = {"batch",
                               (folder / "jobs.jsonl").string(),
                               "--out-dir",
                               (folder / "out").string(),
                               "--checkpoint-every",
                               "5",
                               "--progress",
                               "plain"};
  const auto has_checkpoint = [&] {
    if (!std::filesystem::exists(folder / "out")) return false;
    for (const auto& name : names_in(folder / "out"))
      if (name.ends_with(".checkpoint.safetensors")) return true;
    return false;
  };
  Program program(arguments);
  for (int i = 0; i < 40'000 && !has_checkpoint(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  program.signal(SIGKILL);
  EXPECT_EQ(program.finish().code, 1000 + SIGKILL);
  ASSERT_TRUE(has_checkpoint());
  // With other settings it neither goes on nor is lost, until that is asked for.
  auto changed = arguments;
  changed.insert(changed.end(), {"--guidance-scale", "3", "--steps", "8"});
  const auto copy = folder / "copy";
  std::filesystem::copy(folder / "out", copy, std::filesystem::copy_options::recursive);
  changed[3] = copy.string();
  const auto refused = run_program(changed);
  EXPECT_EQ(refused.code, 7) << refused.err;
  EXPECT_NE(refused.err.find("checkpoint of"), std::string::npos) << refused.err;
  changed.insert(changed.end(), {"--redo", "failed"});
  const auto anew = run_program(changed);
  expect_done(anew);
  EXPECT_NE(anew.err.find("starts anew, its checkpoint is of other settings"), std::string::npos) << anew.err;
  EXPECT_EQ(clips_in(copy).size(), 3U);
  // What a kill in the middle of saving a checkpoint would leave.
  write_bytes(folder / "out/..clip-0.mp4.checkpoint.safetensors.t2v-1-0.tmp.safetensors", "half");
  const auto rest = run_program(arguments);
  expect_done(rest);
  EXPECT_NE(rest.err.find("goes on after step"), std::string::npos) << rest.err;
  expect_every_item_once(folder / "out", made_in_one_go(folder / "jobs.jsonl", folder / "whole"));
}

}  // namespace t2v::test
