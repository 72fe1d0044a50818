// t2v train as a user runs it, on runs of a few steps.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "expect.h"
#include "starts.h"
#include "train_support.h"

namespace t2v::test {
namespace {

TEST(CliTrain, ARunFromNothingMakesAModelThatGenerates) {
  const TemporaryFolder folder;
  const auto config = write_json(folder, both_stages(3));
  const auto run = folder / "run";
  const auto result = run_program({"train", config.string(), "--out", run.string()});
  expect_done(result);
  EXPECT_EQ(result.out, (run / "model").string() + "\n");
  EXPECT_EQ(losses_of(run, "1-vae").size(), 2U);
  EXPECT_EQ(losses_of(run, "2-denoiser").size(), 3U);
  const auto page = bytes_of(run / "report.html");
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_NE(page.find("PSNR"), std::string::npos);
  EXPECT_EQ(page.find("http"), std::string::npos) << "the page needs the network";
  const auto clip = folder / "clip.mp4";
  expect_done(run_program({"generate", "-m", (run / "model").string(), "-p", "a red circle", "--frames", "5",
                           "--steps", "2", "-o", clip.string()}));
  const auto info = run_program({"info", clip.string(), "--json"});
  expect_done(info);
  EXPECT_EQ(Json::parse(info.out)["frames"], 5) << info.out;
  EXPECT_EQ(Json::parse(info.out)["width"], 128) << info.out;
  // The folder holds a run now.
  const auto again = run_program({"train", config.string(), "--out", run.string()});
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("--resume"), std::string::npos) << again.err;
  expect_done(run_program({"train", config.string(), "--out", run.string(), "--resume"}));
}

TEST(CliTrain, AStoppedRunGoesOnToTheSameBits) {
  const TemporaryFolder folder;
  const auto config = write_config(folder, 40);
  expect_done(run_program({"train", config.string(), "--out", (folder / "whole").string()}));
  Program program({"train", config.string(), "--out", (folder / "halves").string()});
  wait_for(folder / "halves" / "1-denoiser-newest.safetensors");
  program.signal(SIGHUP);
  const auto stopped = program.finish();
  EXPECT_EQ(stopped.code, 129) << stopped.err;
  const auto other = write_config(folder, 40, {{"gradient_checkpointing", true}});  // changes no number
  expect_done(run_program({"train", other.string(), "--out", (folder / "halves").string(), "--resume"}));
  EXPECT_TRUE(weights_of_run(folder / "whole") == weights_of_run(folder / "halves"));
}

TEST(CliTrain, AFolderThatGoesAwayEndsTheRunWithItsCheckpointWhole) {
  const TemporaryFolder folder;
  auto config = write_config(folder, 2000);
  Program program({"train", config.string(), "--out", (folder / "run").string()});
  wait_for(folder / "run" / "1-denoiser-newest.safetensors");
  fs::rename(folder / "run", folder / "moved");
  const auto result = program.finish();
  EXPECT_EQ(result.code, 4) << result.err;
  EXPECT_NE(result.err.find((folder / "run").string()), std::string::npos) << result.err;
  config = write_config(folder, 2);  // fewer steps than the checkpoint has: it is read, and the stage is over
  expect_done(run_program({"train", config.string(), "--out", (folder / "moved").string(), "--resume"}));
  EXPECT_TRUE(fs::exists(folder / "moved" / "1-denoiser.done"));
}

TEST(CliTrain, GoesOnWithAModelOnAFolderOfClips) {
  const TemporaryFolder folder;
  const auto clips = folder / "clips";
  fs::create_directory(clips);
  expect_done(run_program({"generate", "-p", "a red circle", "--frames", "9", "--steps", "2", "--seed", "1",
                           "--count", "2", "-o", (clips / "{index}.mp4").string()}));
  std::ofstream(clips / "0.txt") << "a red circle";
  std::ofstream(clips / "1.txt") << "a blue kestrel";
  const auto config = write_config(folder, 2);
  auto json = Json::parse(bytes_of(config));
  json.erase("architecture");
  std::ofstream(config) << json.dump();
  const auto run = folder / "run";
  expect_done(run_program({"train", config.string(), "--model", shipped_model().string(), "--data",
                           clips.string(), "--out", run.string()}));
  EXPECT_NE(weights_of_run(run),
            bytes_of(shipped_model() / "transformer" / "diffusion_pytorch_model.safetensors"));
  EXPECT_EQ(bytes_of(run / "model" / "vae" / "diffusion_pytorch_model.safetensors").size() > 0, true);
  const auto words = Json::parse(bytes_of(run / "model" / "t2v.json"))["words"]
                         .get<std::vector<std::string>>();
  for (const char* word : {"kestrel", "spinning"})
    EXPECT_EQ(std::count(words.begin(), words.end(), word), 1) << word;
  fs::remove(run / "1-denoiser.done");
  std::ofstream(clips / "1.txt") << "a blue star";
  const auto changed = run_program({"train", config.string(), "--model", shipped_model().string(), "--data",
                                    clips.string(), "--out", run.string(), "--resume"});
  EXPECT_EQ(changed.code, 2);
  EXPECT_NE(changed.err.find("other settings"), std::string::npos) << changed.err;
  fs::resize_file(clips / "1.mp4", 200);
  const auto damaged = run_program({"train", config.string(), "--model", shipped_model().string(), "--data",
                                    clips.string(), "--out", (folder / "other").string()});
  EXPECT_EQ(damaged.code, 3);
  EXPECT_NE(damaged.err.find("1.mp4"), std::string::npos) << damaged.err;
}

TEST(CliTrain, ATokenizerIsTrainedOnTheCaptionsOfAFolder) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  auto config = tokenizer_config(folder, {{"vocab_size", 25}});
  const auto path = write_json(folder, config);
  expect_done(run_program({"train", path.string(), "--out", run.string()}));
  EXPECT_EQ(Json::parse(bytes_of(run / "model" / "text_encoder" / "config.json"))["vocab_size"], 25);
  const auto generate = [&](const std::string& prompt) {
    return run_program({"generate", "-m", (run / "model").string(), "-p", prompt, "--frames", "1", "--steps",
                        "1", "-o", (folder / ("clip" + std::to_string(prompt.size()) + ".png")).string()});
  };
  const auto known = generate("a kestrel standing in a meadow");
  expect_done(known);
  EXPECT_EQ(known.err.find("never seen"), std::string::npos) << known.err;
  const auto other = generate("a red kestrel");
  expect_done(other);
  EXPECT_NE(other.err.find("never seen 'red'"), std::string::npos) << other.err;
  EXPECT_NE(other.err.find("lapwing"), std::string::npos) << other.err;
  expect_done(run_program({"train", path.string(), "--out", run.string(), "--resume"}));
  config["tokenizer"]["vocab_size"] = 26;
  std::ofstream(path) << config.dump();
  const auto changed = run_program({"train", path.string(), "--out", run.string(), "--resume"});
  EXPECT_EQ(changed.code, 2);
  EXPECT_NE(changed.err.find("'vocab_size' of the tokenizer is 26"), std::string::npos) << changed.err;
}

TEST(CliTrain, AModelGoesOnWithATokenizerOfItsOwn) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  const auto path = write_json(folder, tokenizer_config(folder, Json::object()));
  expect_done(
      run_program({"train", path.string(), "--model", shipped_model().string(), "--out", run.string()}));
  EXPECT_EQ(bytes_of(run / "model" / "vae" / "config.json"),
            bytes_of(shipped_model() / "vae" / "config.json"));
  EXPECT_NE(bytes_of(run / "model" / "tokenizer" / "spiece.model"),
            bytes_of(shipped_model() / "tokenizer" / "spiece.model"));
  const auto words = Json::parse(bytes_of(run / "model" / "t2v.json"))["words"];
  EXPECT_NE(std::find(words.begin(), words.end(), "lapwing"), words.end()) << words;
  expect_done(run_program({"generate", "-m", (run / "model").string(), "-p", "a lapwing hovering", "--frames",
                           "1", "--steps", "1", "-o", (folder / "clip.png").string()}));
}

}  // namespace
}  // namespace t2v::test
