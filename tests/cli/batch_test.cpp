// t2v batch: what it makes, what it says, what it refuses.
#include "batch_support.h"
#include "starts.h"

namespace t2v::test {

TEST(CliBatch, MakesAClipForEachPromptAndPrintsItsPath) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", "# two\na red circle\na blue ring\n");
  const auto result = run_program({"batch", "p.txt", "-o", "out/{index:02}-{prompt}.mp4", "--frames", "5",
                                   "--steps", "2", "--count", "2"},
                                  {}, folder.path());
  expect_done(result);
  auto lines = lines_of(result.out);
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(lines, (std::vector<std::string>{"out/00-a-red-circle.mp4", "out/01-a-red-circle.mp4",
                                             "out/02-a-blue-ring.mp4", "out/03-a-blue-ring.mp4"}));
  EXPECT_EQ(clips_in(folder / "out").size(), 4U);
}

TEST(CliBatch, AClipIsTheOneThatGenerateMakes) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.jsonl", R"({"id": "a", "prompt": "a red circle", "seed": 5, "frames": 5})"
                                  "\n"
                                  R"({"id": "b", "prompt": "a blue ring", "seed": 6, "aspect": "16:9"})");
  expect_done(run_program(batch(folder / "p.jsonl", folder / "out", {"--frames", "1"})));
  expect_done(run_program({"generate", "-p", "a red circle", "-s", "5", "--frames", "5", "--steps", "2", "-o",
                           (folder / "a.mp4").string()}));
  EXPECT_TRUE(bytes_of(folder / "out/a.mp4") == bytes_of(folder / "a.mp4"));
}

TEST(CliBatch, TheSameCommandSkipsWhatIsFinished) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(3));
  expect_done(run_program(batch(folder / "p.txt", folder / "out")));
  const auto before = clips_in(folder / "out");
  const auto again = run_program(batch(folder / "p.txt", folder / "out", {"--json"}));
  expect_done(again);
  for (const auto& line : json_lines(again.out)) EXPECT_EQ(line.at("state"), "skipped");
  EXPECT_EQ(again.err.find("load"), std::string::npos) << "weights were loaded for nothing: " << again.err;
  // A clip that was lost, and one that was overwritten, are made again; the third is not touched.
  const auto first = before.begin()->first, second = std::next(before.begin())->first;
  std::filesystem::remove(folder / "out" / first);
  write_bytes(folder / "out" / second, std::string(before.at(second).size(), 'x'));
  const auto repaired = run_program(batch(folder / "p.txt", folder / "out"));
  expect_done(repaired);
  EXPECT_EQ(lines_of(repaired.out).size(), 2U);
  EXPECT_TRUE(clips_in(folder / "out") == before);
}

TEST(CliBatch, ChangedSettingsAreRefusedWithTheDifference) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(2));
  expect_done(run_program(batch(folder / "p.txt", folder / "out")));
  const auto before = clips_in(folder / "out");
  expect_refused(run_program(batch(folder / "p.txt", folder / "out", {"--steps", "3"})), 2,
                 {"steps: 2 -> 3", "line 1", "line 2", "--redo changed"});
  EXPECT_TRUE(clips_in(folder / "out") == before);
  const auto redone = run_program(
      batch(folder / "p.txt", folder / "out", {"--steps", "3", "--redo", "changed"}));
  expect_done(redone);
  EXPECT_EQ(lines_of(redone.out).size(), 2U);
  EXPECT_FALSE(clips_in(folder / "out") == before);
  expect_done(run_program(batch(folder / "p.txt", folder / "out", {"--redo", "all"})));
  EXPECT_TRUE(clips_in(folder / "out") == before);
}

// Failure class 22, and bad settings of any kind: said with line and column, all at once, before any weight
// is read.
TEST(CliBatch, EveryMistakeIsShownBeforeWeightsLoad) {
  const TemporaryFolder folder;
  const auto refused = [&](const char* prompts, const std::vector<std::string>& parts) {
    const auto result = run_program(batch(folder / prompts, folder / "out"));
    expect_refused(result, 2, parts);
    EXPECT_EQ(result.err.find("load"), std::string::npos) << result.err;
  };
  write_bytes(folder / "p.jsonl",
              "{\"prompt\": \"a\", \"stepps\": 3}\n{\"prompt\": \"b\" \"c\"}\n{\"prompt\": \"d\", \"fps\": "
              "0}\n{\"prompt\": \"e\", "
              "\"output\": \"../e.mp4\"}\n{\"prompt\": \"f\"}\n");
  refused("p.jsonl", {"p.jsonl:1:17: unknown key 'stepps'; did you mean 'steps'?", "p.jsonl:2:18: bad JSON",
                      "p.jsonl:3:17: --fps", "p.jsonl:4:17: 'output'", "4 mistakes"});
  write_bytes(folder / "p.csv", "prompt,steps\n\"a\nb\",x\nc\n");
  refused("p.csv", {"p.csv:3:4: 'steps'", "p.csv:4:1: 1 cells"});
  write_bytes(folder / "p.txt", "a\n  b\x01\n");
  refused("p.txt", {"p.txt:2:4: control character U+0001"});
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

TEST(CliBatch, WhatCannotWorkIsRefused) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", "a\nb\n");
  const auto refused = [&](const Arguments& arguments, int code, const std::vector<std::string>& parts) {
    expect_refused(run_program(arguments, {}, folder.path()), code, parts);
  };
  refused({"batch"}, 2, {"prompts file"});
  refused({"batch", "p.txt"}, 2, {"--out-dir"});
  refused({"batch", "missing.txt", "--out-dir", "out"}, 2, {"missing.txt"});
  refused({"batch", "p.txt", "-o", "-"}, 2, {"stdout"});
  refused({"batch", "p.txt", "-o", "out/clip.mp4"}, 2, {"p.txt:2:1", "line 1 already"});
  refused({"batch", "p.txt", "-o", "out/{index}.xyz"}, 2, {".xyz"});
  refused({"batch", "p.txt", "-o", "out/{date}-{index}.mp4"}, 2, {"{date}"});
  refused({"batch", "p.txt", "--out-dir", "out", "--shard", "2/2"}, 2, {"--shard"});
  refused({"batch", "p.txt", "--out-dir", "out", "--redo", "some"}, 2, {"--redo"});
  refused({"batch", "p.txt", "--out-dir", "out", "--format", "xml"}, 2, {"--format"});
  refused({"batch", "p.txt", "--out-dir", "p.txt"}, 4, {"p.txt", "no folder"});
  refused({"batch", "p.txt", "--out-dir", "/proc/t2v"}, 4, {"/proc"});
  refused({"batch", "--status", "."}, 2, {"no batch has been made here"});
  write_bytes(folder / "mine/0.mp4", "");
  std::filesystem::create_directory(folder / "mine");
  write_bytes(folder / "mine/0.mp4", "a holiday");
  refused({"batch", "p.txt", "-o", "mine/{index}.mp4"}, 2, {"0.mp4", "no manifest", "--redo all"});
  EXPECT_EQ(bytes_of(folder / "mine/0.mp4"), "a holiday");
}

TEST(CliBatch, AJsonArrayIsReadAndOtherMarkupIsNoText) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.json", "[\n  {\n    \"id\": \"x\",\n    \"prompt\": \"a\"\n  },\n  \"b\"\n]\n");
  const auto planned = run_program(batch(folder / "p.json", folder / "out", {"--dry-run"}));
  expect_done(planned);
  const auto lines = json_lines(planned.out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].at("id"), "x");
  EXPECT_EQ(lines[1].at("settings").at("prompt"), "b");
  for (const auto& [name, text] :
       std::vector<std::pair<std::string, std::string>>{{"p.yaml", "- prompt: a\n- prompt: b\n"},
                                                        {"p.toml", "[[clips]]\nprompt = \"a\"\n"},
                                                        {"object.json", "{\n  \"prompt\": \"a\"\n}\n"},
                                                        {"p.md", "a\n"}}) {
    write_bytes(folder / name, text);
    expect_refused(run_program(batch(folder / name, folder / "out")), 2, {name, ".jsonl", "--format"});
  }
  expect_done(run_program(batch(folder / "p.md", folder / "out", {"--dry-run", "--format", "txt"})));
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

// Not even root reads and writes where the permissions say no.
TEST(CliBatch, FoldersThatMayNotBeReadAreNamed) {
  const TemporaryFolder folder;
  const auto start = without_override();
  std::filesystem::create_directories(folder / "closed/out");
  write_bytes(folder / "closed/p.txt", "a\n");
  write_bytes(folder / "p.txt", "a\n");
  std::filesystem::permissions(folder / "closed", std::filesystem::perms(0000));
  const auto closed = (folder / "closed").string();
  const auto refused = [&](const Arguments& arguments, int code) {
    expect_refused(run_program(arguments, {}, {}, start), code, {closed});
  };
  refused(batch(folder / "closed/p.txt", folder / "out"), 2);
  refused(batch(folder / "p.txt", folder / "closed/out"), 4);
  refused(batch(folder / "p.txt", folder / "closed/new"), 4);
  refused(batch(folder / "p.txt", folder / "closed"), 4);
  refused(batch(folder / "p.txt", folder / "out", {"--trace", closed + "/trace/{id}"}), 4);
  refused(batch(folder / "p.txt", folder / "out", {"--save-latents", closed + "/{id}.safetensors"}), 4);
  refused({"batch", "--status", closed + "/out"}, 4);
  refused({"report", closed + "/out"}, 4);
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
  std::filesystem::permissions(folder / "closed", std::filesystem::perms(0700));

  expect_done(run_program(batch(folder / "p.txt", folder / "out")));
  std::filesystem::permissions(folder / "out/.t2v", std::filesystem::perms(0300));
  expect_refused(run_program(batch(folder / "p.txt", folder / "out"), {}, {}, start), 4,
                 {(folder / "out/.t2v").string()});
  std::filesystem::permissions(folder / "out/.t2v", std::filesystem::perms(0700));
  for (const auto& name : names_in(folder / "out/.t2v"))
    std::filesystem::permissions(folder / "out/.t2v" / name, std::filesystem::perms(0000));
  expect_refused(run_program(batch(folder / "p.txt", folder / "out"), {}, {}, start), 4,
                 {(folder / "out/.t2v").string()});
}

TEST(CliBatch, TakesPromptsFromStdin) {
  const TemporaryFolder folder;
  const auto command = "printf 'prompt,steps\\n\"a, b\",1\\nc,2\\n' | " + binary().string() +
                       " batch - --dry-run --out-dir " + (folder / "out").string() + " -m " +
                       shipped_model().string() + " > " + (folder / "lines").string();
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto lines = json_lines(bytes_of(folder / "lines"));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].at("action"), "make");
  EXPECT_EQ(lines[0].at("settings").at("prompt"), "a, b");
  EXPECT_EQ(lines[1].at("settings").at("steps"), 2);
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

// A defect that only loading finds.
void poison(RawTensors& tensors) {
  const auto name = tensors.header.begin().key() == "__metadata__" ? std::next(tensors.header.begin()).key()
                                                                   : tensors.header.begin().key();
  auto values = floats_of(tensors, name);
  values.back() = std::numeric_limits<float>::quiet_NaN();
  set_floats(tensors, name, values);
}

// What is wrong with the model is wrong for all: the batch ends, and its items wait for a better one.
TEST(CliBatch, AModelThatCannotBeLoadedEndsTheBatch) {
  const TemporaryFolder folder;
  ModelCopy model(folder / "model");
  const auto weights = "transformer/diffusion_pytorch_model.safetensors";
  model.change_tensors(weights, poison);
  write_bytes(folder / "p.txt", numbered_prompts(3));
  const auto arguments = batch(folder / "p.txt", folder / "out", {"--model", model.path()});
  expect_refused(run_program(arguments), 3, {"model/transformer: ", "NaN"});
  EXPECT_EQ(status_of(folder / "out").at("pending"), 3);
  EXPECT_EQ(status_of(folder / "out").at("failed"), 0);
  model.replace(weights, bytes_of(shipped_model() / weights));
  expect_done(run_program(arguments));
  EXPECT_EQ(clips_in(folder / "out").size(), 3U);
}

// With several models only the clips of the bad one fail.
TEST(CliBatch, OneOfTwoModelsThatCannotBeLoadedFailsItsClips) {
  const TemporaryFolder folder;
  ModelCopy model(folder / "model");
  model.change_tensors("vae/diffusion_pytorch_model.safetensors", poison);
  write_bytes(folder / "p.jsonl",
              nlohmann::json{{"prompt", "a"}, {"id", "bad"}, {"model", model.path()}}.dump() + "\n" +
                  R"({"prompt": "b", "id": "good"})" + "\n");
  EXPECT_EQ(run_program(batch(folder / "p.jsonl", folder / "out")).code, 7);
  EXPECT_EQ(clips_in(folder / "out").size(), 1U);
}

// Failure class 21.
TEST(CliBatch, AnItemThatFailsDoesNotStopTheOthers) {
  const TemporaryFolder folder;
  const auto bad = failing_item(folder.path());
  write_bytes(folder / "p.jsonl",
              "{\"id\": \"a\", \"prompt\": \"a\"}\n" + bad.dump() + "\n{\"id\": \"c\", \"prompt\": \"c\"}\n");

  const auto result = run_program(
      batch(folder / "p.jsonl", folder / "out", {"--json", "--log-json", (folder / "log.jsonl").string()}));
  EXPECT_EQ(result.code, 7) << result.err;
  EXPECT_NE(result.err.find("1 of 3 clips failed"), std::string::npos) << result.err;
  std::map<std::string, nlohmann::json> lines;
  for (const auto& line : json_lines(result.out)) lines[line.at("id")] = line;
  EXPECT_EQ(lines.at("a").at("state"), "done");
  EXPECT_EQ(lines.at("c").at("state"), "done");
  EXPECT_EQ(lines.at("bad").at("state"), "failed");
  EXPECT_EQ(lines.at("bad").at("exit_code"), 6);
  EXPECT_EQ(clips_in(folder / "out").size(), 2U);

  const auto status = status_of(folder / "out");
  EXPECT_EQ(status.at("done"), 2);
  EXPECT_EQ(status.at("failed"), 1);
  EXPECT_EQ(status.at("failures").at(0).at("id"), "bad");
  EXPECT_EQ(status.at("failures").at(0).at("attempts"), 1);
  const auto table = run_program({"batch", "--status", (folder / "out").string()});
  expect_done(table);
  EXPECT_NE(table.out.find("0/1"), std::string::npos) << table.out;

  const auto events = json_lines(bytes_of(folder / "log.jsonl"));
  ASSERT_EQ(events.size(), 6U);
  EXPECT_EQ(events.front().at("event"), "start");
  EXPECT_EQ(events.back().at("exit_code"), 7);
  EXPECT_EQ(events.front().at("time").get<std::string>().size(),
            std::string("2026-01-01T00:00:00.000Z").size());

  // NaN is no bad luck: it is left, and still counts, until it is asked for.
  EXPECT_EQ(run_program(batch(folder / "p.jsonl", folder / "out")).code, 7);
  EXPECT_EQ(status_of(folder / "out").at("failures").at(0).at("attempts"), 1);
  EXPECT_EQ(run_program(batch(folder / "p.jsonl", folder / "out", {"--redo", "failed"})).code, 7);
  EXPECT_EQ(status_of(folder / "out").at("failures").at(0).at("attempts"), 2);
  // With other settings it is another try.
  write_bytes(folder / "p.jsonl",
              "{\"id\": \"a\", \"prompt\": \"a\"}\n{\"id\": \"bad\", \"prompt\": \"b\"}\n{\"id\": \"c\", "
              "\"prompt\": \"c\"}\n");
  expect_done(run_program(batch(folder / "p.jsonl", folder / "out")));
  EXPECT_EQ(clips_in(folder / "out").size(), 3U);
}

TEST(CliBatch, TellsARenderManagerHowFarItIs) {
  const TemporaryFolder folder;
  write_bytes(folder / "p.txt", numbered_prompts(4));
  const auto result = run_program(batch(folder / "p.txt", folder / "out", {"--progress", "openjd"}));
  expect_done(result);
  double last = -1;
  int paths = 0, status = 0;
  for (const auto& line : lines_of(result.out)) {
    if (line.starts_with("openjd_progress: ")) {
      const double percent = std::stod(line.substr(17));
      EXPECT_GT(percent, last);
      last = percent;
    } else if (line.starts_with("openjd_status: ")) {
      ++status;
    } else {
      EXPECT_TRUE(std::filesystem::exists(line)) << line;
      ++paths;
    }
  }
  EXPECT_EQ(last, 100);
  EXPECT_EQ(paths, 4);
  EXPECT_GT(status, 0);
  const auto failed = run_program(
      batch(folder / "p.txt", folder / "out", {"--progress", "openjd", "--steps", "3"}));
  EXPECT_EQ(failed.code, 2);
  EXPECT_TRUE(failed.out.starts_with("openjd_fail: ") ||
              failed.out.find("\nopenjd_fail: ") != std::string::npos)
      << failed.out;
  EXPECT_EQ(lines_of(failed.out).size(), 1U) << failed.out;
}

}  // namespace t2v::test
