// t2v eval world: the table, the JSON, what is kept, and what is refused before anything is loaded.
#include <fstream>
#include <nlohmann/json.hpp>

#include "expect.h"
#include "paths.h"
#include "video/read/decoder.h"

namespace t2v::test {

TEST(CliEval, FindsTheWorldsOwnPicturesRight) {
  const auto result = run_program(
      {"eval", "world", "--ground-truth", "--prompts", "9", "--json", "--progress", "none"});
  expect_done(result);
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["prompts"], 9);
  EXPECT_EQ(json["source"], "ground truth");
  EXPECT_EQ(json["side"], "held-out");
  EXPECT_EQ(json["sizes"].size(), 3U);
  for (const char* what : {"background", "colour", "shape", "motion", "all_four", "count"})
    EXPECT_EQ(json["right"][what], 1.0) << what;
}

TEST(CliEval, JudgesAndKeepsTheClipsOfAModel) {
  const TemporaryFolder folder;
  const auto out = folder / "kept";
  const auto result = run_program({"eval", "world", "--prompts", "3", "--frames", "5", "--steps", "4",
                                   "--size", "64x64", "--out", out.string(), "--progress", "none"});
  expect_done(result);
  for (const char* part : {"3 clips", "background", "colour", "shape", "motion", "all four"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part;
  std::ifstream lines(out / "judged.jsonl");
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto json = nlohmann::json::parse(line);
    EXPECT_TRUE(json["right"]["all_four"].is_boolean());
    EXPECT_FALSE(json["prompt"].get<std::string>().empty());
    const auto reader = open_video(out / json["file_name"].get<std::string>());
    EXPECT_EQ(reader->info().width, 64);
    EXPECT_EQ(reader->info().fps.numerator, 8);
    int frames = 0;
    while (reader->read()) ++frames;
    EXPECT_EQ(frames, 5);
  }
  EXPECT_EQ(count, 3);
}

TEST(CliEval, JudgesWhatIsMadeOfAGivenPart) {
  const auto judged = [](const std::string& task, const std::string& steps) {
    const auto result = run_program({"eval", "world", "--task", task, "--prompts", "2", "--frames", "25",
                                     "--steps", steps, "--motions", "moving left,moving right", "--json",
                                     "--progress", "none"});
    expect_done(result);
    return nlohmann::json::parse(result.out).at("completion");
  };
  for (const char* task : {"image", "ends", "extend", "backward", "connect", "fill", "mask"}) {
    const auto json = judged(task, "2");
    EXPECT_EQ(json.at("task"), task);
    EXPECT_EQ(json.at("kept"), 1.0) << task;
    EXPECT_GT(json.at("position_error_median"), 0) << task;
  }
  EXPECT_LT(judged("fill", "20").at("position_error_90"), 8);
  const auto table = run_program({"eval", "world", "--task", "fill", "--prompts", "1", "--frames", "25",
                                  "--steps", "2", "--progress", "none"});
  expect_done(table);
  EXPECT_NE(table.out.find("of the clips have all that was given"), std::string::npos) << table.out;
  const auto refused = [](const Arguments& flags, const char* complaint) {
    Arguments arguments = {"eval", "world", "--prompts", "1", "--progress", "none"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    expect_refused(run_program(arguments), 2, {complaint});
  };
  refused({"--task", "fill", "--frames", "17"}, "25 or more frames");
  refused({"--task", "fill", "--frames", "25", "--objects", "2"}, "one object");
  refused({"--task", "guess", "--frames", "25"}, "guess");
}

TEST(CliEval, AClipIsTheSameHoweverManyAreJudgedWithIt) {
  const TemporaryFolder folder;
  const auto judged = [&](const std::string& prompts) {
    const auto out = folder / prompts;
    expect_done(run_program({"eval", "world", "--prompts", prompts, "--frames", "5", "--steps", "4", "--size",
                             "64x64", "--out", out.string(), "--progress", "none"}));
    return bytes_of(out / "judged.jsonl");
  };
  const auto few = judged("2"), many = judged("5");
  EXPECT_EQ(std::count(many.begin(), many.end(), '\n'), 5);
  EXPECT_EQ(many.substr(0, few.size()), few);
}

TEST(CliEval, JudgesPartsOfClipsAsClipsOfTheirOwn) {
  const auto result = run_program({"eval",
                                   "world",
                                   "--ground-truth",
                                   "--prompts",
                                   "3",
                                   "--frames",
                                   "33",
                                   "--from",
                                   "0",
                                   "--to",
                                   "2",
                                   "--from",
                                   "2",
                                   "--to",
                                   "4",
                                   "--motions",
                                   "bouncing,standing still",
                                   "--json",
                                   "--progress",
                                   "none"});
  expect_done(result);
  const auto parts = nlohmann::json::parse(result.out);
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[1]["from"], 2);
  EXPECT_EQ(parts[1]["to"], 4);
  for (const auto& part : parts) {
    EXPECT_EQ(part["right"]["all_four"], 1.0);
    EXPECT_LE(part["background_error"], 0.5);
    for (const auto& [motion, seen] : part["motions"].items())
      EXPECT_TRUE(motion == "bouncing" || motion == "standing still") << motion;
  }
}

TEST(CliEval, JudgesLoopsAndSaysHowWellTheyClose) {
  const auto loops = [](const Arguments& more) {
    Arguments arguments = {"eval",    "world", "--loop", "--prompts", "1",          "--frames", "16",
                           "--steps", "4",     "--size", "64x64",     "--progress", "none"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_program(arguments);
    expect_done(result);
    return result.out;
  };
  EXPECT_NE(loops({}).find("times the step from frame to frame"), std::string::npos);
  EXPECT_GT(nlohmann::json::parse(loops({"--json"}))["closing"], 0);
  expect_refused(run_program({"eval", "world", "--loop", "--frames", "17"}), 2, {"17 frames became 16"});
}

TEST(CliEval, RefusesWhatMakesNoSense) {
  expect_refused(run_program({"eval", "world", "--from", "1", "--to", "3"}), 2,
                 {"from 1.0 s to 3.0 s", "17"});
  expect_refused(run_program({"eval", "world", "--from", "1"}), 2, {"--from and --to go together"});
  expect_refused(run_program({"eval", "world", "--motions", "flying"}), 2, {"'flying'", "bouncing"});
  expect_refused(run_program({"eval", "world", "--prompts", "0"}), 2, {"prompts should be between 1 and"});
  expect_refused(run_program({"eval", "world", "--objects", "3"}), 2, {"objects should be 1 or 2", "3"});
  expect_refused(run_program({"eval", "world", "--side", "left"}), 2, {"--side", "'left'"});
  expect_refused(run_program({"eval", "world", "--ground-truth", "--vae"}), 2, {"--ground-truth", "--vae"});
  expect_refused(run_program({"eval", "world", "--frames", "6"}), 2, {"6 frames", "6 frames became 5"});
  expect_refused(run_program({"eval", "world", "--size", "60x64"}), 2, {"60x64", "60x64 became 32x64"});
  expect_refused(run_program({"eval", "world", "-m", "no-such-model"}), 3, {"no-such-model"});
  expect_refused(run_program({"eval"}), 2, {"subcommand"});
}

}  // namespace t2v::test
