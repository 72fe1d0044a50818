// The examples for render farms, run as they stand: a Slurm of one node, GNU parallel, and the commands of
// the Kubernetes job and of the Open Job Description template.
#include "farm_support.h"

namespace t2v::test {

namespace {

std::filesystem::path example(const std::string& name) { return source_dir() / "examples" / name; }

// The value after "key: " in YAML of one key a line.
std::string yaml_value(const std::string& text, const std::string& key) {
  const auto begin = text.find(key + ": ");
  if (begin == std::string::npos) throw std::runtime_error("no " + key);
  auto value = text.substr(begin + key.size() + 2);
  value = value.substr(0, value.find('\n'));
  if (value.starts_with('"')) value = value.substr(1, value.size() - 2);
  return value;
}

// The value of "key: [a, "b", c]".
Arguments yaml_list(const std::string& text, const std::string& key) {
  auto value = yaml_value(text, key);
  value = value.substr(1, value.rfind(']') - 1) + ", ";
  Arguments words;
  for (std::size_t begin = 0; begin < value.size();) {
    const auto end = value.find(", ", begin);
    auto word = value.substr(begin, end - begin);
    if (word.starts_with('"')) word = word.substr(1, word.size() - 2);
    words.push_back(word);
    begin = end + 2;
  }
  return words;
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

}  // namespace

TEST(FarmExamples, ASlurmArrayWithAKilledTaskMakesEveryItemOnce) {
  const TemporaryFolder folder;
  write_bytes(folder / "jobs.jsonl", jobs_lines(10));
  const auto support = source_dir() / "tests/support";
  Program slurm(
      {"jobs.jsonl", "out"}, {}, folder.path(),
      in_own_processes({"bash", (support / "slurm_node.sh").string(), (folder / "node").string(), "bash",
                        (support / "slurm_array.sh").string(), example("slurm/batch.sbatch").string()}));
  const auto result = slurm.finish(240);
  if (result.code == 77) GTEST_SKIP() << "Slurm does not run here: " << result.err;
  ASSERT_EQ(result.code, 0) << result.out << result.err;
  EXPECT_EQ(result.out, "killed 1\nrequeued 0\nrequeued 1\n");

  expect_every_item_once(folder / "out", made_in_one_go(folder / "jobs.jsonl", folder / "whole"));
  std::map<std::string, int> printed;
  for (const char* log : {"task-0", "task-1"}) {
    const auto text = bytes_of(folder / log);
    EXPECT_NE(text.find("finished before"), std::string::npos) << text;
    for (const auto& line : lines_of(text))
      if (line.ends_with(".mp4")) ++printed[line];
  }
  for (const auto& [path, times] : printed) EXPECT_EQ(times, 1) << path;
  EXPECT_GE(printed.size(), 8U);  // a task can be stopped between an entry in its manifest and the line about
                                  // it
}

TEST(FarmExamples, GnuParallelTriesAKilledShardAgain) {
  if (std::system("command -v parallel >/dev/null") != 0) GTEST_SKIP() << "GNU parallel is not installed";
  const TemporaryFolder folder;
  write_bytes(folder / "jobs.jsonl", jobs_lines(8));
  const Start start{.wrapper = {"sh", "-c", "PATH=$(dirname \"$1\"):$PATH; shift; exec bash \"$0\" \"$@\"",
                                example("parallel.sh").string()}};
  Program farm({"jobs.jsonl", "out", "2"}, {}, folder.path(), start);
  const auto first = [&] {
    return std::filesystem::exists(folder / "out/clip-1.mp4") ||
           std::filesystem::exists(folder / "out/clip-3.mp4");
  };
  for (int i = 0; i < 20'000 && !first(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const auto lock = bytes_of(folder / "out/.t2v/shard-1-of-2.lock");  // "process 123 on host"
  ASSERT_TRUE(lock.starts_with("process ")) << lock;
  ASSERT_EQ(::kill(std::stoi(lock.substr(8)), SIGKILL), 0);
  std::map<std::string, std::filesystem::file_time_type> before;
  for (const auto& name : names_in(folder / "out"))
    if (name.ends_with(".mp4") && !name.starts_with('.'))
      before[name] = std::filesystem::last_write_time(folder / "out" / name);

  const auto result = farm.finish();
  expect_done(result);
  expect_every_item_once(folder / "out", made_in_one_go(folder / "jobs.jsonl", folder / "whole"));
  int made_again = 0;
  for (const auto& [name, time] : before)
    made_again += std::filesystem::last_write_time(folder / "out" / name) == time ? 0 : 1;
  EXPECT_LE(made_again, 1);  // one clip can have its name and no entry in the manifest yet
  EXPECT_NE(bytes_of(folder / "out/.t2v/shard-1-of-2.lock"), lock);  // another process has finished the shard
}

// The container's command, with what Kubernetes puts into its environment, and a folder for the volume.
TEST(FarmExamples, TheCommandOfTheKubernetesJobMakesTheShardOfItsIndex) {
  const TemporaryFolder folder;
  write_bytes(folder / "jobs.jsonl", jobs_lines(6, 1, 2));
  const auto manifest = bytes_of(example("kubernetes/job.yaml"));
  EXPECT_EQ(yaml_value(manifest, "completionMode"), "Indexed");
  auto command = yaml_list(manifest, "command");
  ASSERT_EQ(command.at(0), "t2v");
  command.erase(command.begin());
  for (auto& word : command)
    replace_all(word, yaml_value(manifest, "mountPath") + "/", folder.path().string() + "/");
  const Environment job = {{yaml_value(manifest, "env:\n            - name"), yaml_value(manifest, "value")}};
  EXPECT_EQ(job, (Environment{{"T2V_SHARDS", yaml_value(manifest, "completions")}}));
  const int completions = std::stoi(yaml_value(manifest, "completions"));
  for (int index = completions - 1; index >= 0; --index) {
    auto pod = job;
    pod.emplace_back("JOB_COMPLETION_INDEX", std::to_string(index));
    expect_done(run_program(command, pod));
  }
  EXPECT_EQ(status_of(folder / "out").at("shards").size(), static_cast<std::size_t>(completions));
  expect_every_item_once(folder / "out", made_in_one_go(folder / "jobs.jsonl", folder / "whole"));
  // What would fail again fails the job: the policy lists those exit codes.
  EXPECT_EQ(yaml_list(manifest, "values"), (Arguments{"2", "3", "6"}));
  command.push_back("--no-such-flag");
  EXPECT_EQ(run_program(command, job).code, 2);
}

TEST(FarmExamples, TheTasksOfTheOpenJobDescriptionMakeTheBatch) {
  const TemporaryFolder folder;
  write_bytes(folder / "jobs.jsonl", jobs_lines(6, 1, 2));
  const auto text = bytes_of(example("openjd/template.yaml"));
  const auto parameter = [&](const std::string& name) {
    return yaml_value(text.substr(text.find("name: " + name + "\n")), "default");
  };
  EXPECT_EQ(yaml_value(text, "range"), "0-{{Param.LastShard}}");
  EXPECT_EQ(yaml_value(text, "command"), "t2v");
  const int last = std::stoi(parameter("LastShard"));
  EXPECT_EQ(parameter("Shards"), std::to_string(last + 1));
  for (int shard = 0; shard <= last; ++shard) {
    auto arguments = yaml_list(text, "args");
    for (auto& word : arguments) {
      replace_all(word, "{{Param.Prompts}}", (folder / "jobs.jsonl").string());
      replace_all(word, "{{Param.Out}}", (folder / "out").string());
      replace_all(word, "{{Param.Shards}}", parameter("Shards"));
      replace_all(word, "{{Task.Param.Shard}}", std::to_string(shard));
      EXPECT_EQ(word.find("{{"), std::string::npos) << word;
    }
    const auto result = run_program(arguments);
    expect_done(result);
    EXPECT_NE(result.out.find("openjd_progress: 100"), std::string::npos) << result.out;
  }
  expect_every_item_once(folder / "out", made_in_one_go(folder / "jobs.jsonl", folder / "whole"));
}

}  // namespace t2v::test
