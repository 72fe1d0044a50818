// t2v train on world 2, and t2v eval world2, as a user runs them, on runs of a few steps.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "expect.h"
#include "model_copy.h"
#include "starts.h"

namespace t2v::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

Json reader_stage(int steps) {
  return {{"train", "reader"},
          {"steps", steps},
          {"warmup_steps", 2},
          {"lanes", 2},
          {"pixels_per_lane", 80000},
          {"frames", Json::array({9})},
          {"width", 8},
          {"evaluation_clips", 3},
          {"log_steps", 1},
          {"checkpoint_minutes", 0}};
}

Json vae_stage() {
  return {{"train", "vae"},
          {"steps", 2},
          {"warmup_steps", 1},
          {"lanes", 2},
          {"pixels_per_lane", 6000},
          {"evaluation_clips", 1},
          {"evaluation_frames", 9},
          {"log_steps", 1},
          {"clips", {{{"width", 32}, {"height", 32}, {"frames", 5}, {"crop", true}}}}};
}

Json config_of(const std::vector<Json>& stages) {
  return {{"architecture", shipped_model().string()},
          {"world", 2},
          {"sizes", {{64, 64}, {96, 64}}},
          {"seed", 3},
          {"stages", stages}};
}

fs::path write_config(const TemporaryFolder& folder, const Json& config) {
  const auto path = folder / "config.json";
  std::ofstream(path) << config.dump(1);
  return path;
}

TEST(CliBookTraining, AStoppedReaderGoesOnToTheSameBitsAndReads) {
  const TemporaryFolder folder;
  const auto config = write_config(folder, config_of({reader_stage(30)}));
  const auto whole = folder / "whole", halves = folder / "halves";
  expect_done(run_program({"train", config.string(), "--out", whole.string(), "--threads", "2"}));
  Program program({"train", config.string(), "--out", halves.string(), "--threads", "1"});
  for (int i = 0; i < 6000 && !fs::exists(halves / "1-reader-newest.safetensors"); ++i) ::usleep(10'000);
  program.signal(SIGTERM);
  const auto stopped = program.finish();
  EXPECT_EQ(stopped.code, 143) << stopped.err;
  expect_done(run_program({"train", config.string(), "--out", halves.string(), "--resume"}));
  EXPECT_TRUE(bytes_of(whole / "reader/model.safetensors") == bytes_of(halves / "reader/model.safetensors"));

  const auto kept = folder / "kept";
  const auto result = run_program({"eval", "world2", "--reader", (whole / "reader").string(), "--prompts",
                                   "4", "--frames", "9", "--sure", "0", "--json", "--out", kept.string(),
                                   "--progress", "none"});
  expect_done(result);
  const auto json = Json::parse(result.out);
  EXPECT_EQ(json["prompts"], 4);
  for (const char* what : {"things", "motions", "place", "camera", "all"})
    EXPECT_TRUE(json["right"][what].is_number()) << what;
  std::ifstream lines(kept / "read.jsonl");
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto clip = Json::parse(line);
    EXPECT_TRUE(clip["read"]["place"].is_string()) << "with --sure 0 a place is always read: " << line;
    EXPECT_FALSE(clip["prompt"].get<std::string>().empty());
  }
  EXPECT_EQ(count, 4);
}

TEST(CliBookTraining, AnAutoencoderLearnsFromWorld2AndIsReadThrough) {
  const TemporaryFolder folder;
  auto config = config_of({vae_stage(), reader_stage(2)});
  config["cuts_share"] = 0.5;
  const auto run = folder / "run";
  expect_done(run_program({"train", write_config(folder, config).string(), "--out", run.string()}));
  const auto metrics = bytes_of(run / "metrics.jsonl");
  for (const char* key : {"\"psnr\"", "\"psnr_begin\"", "\"psnr_end\"", "\"cameras_right\""})
    EXPECT_NE(metrics.find(key), std::string::npos) << key;
  const auto result = run_program({"eval", "world2", "--reader", (run / "reader").string(), "--vae", "-m",
                                   (run / "model").string(), "--prompts", "2", "--frames", "5", "--size",
                                   "64x64", "--json", "--progress", "none"});
  expect_done(result);
  EXPECT_GT(Json::parse(result.out)["psnr"].get<double>(), 0);
}

Json denoiser_stage() {
  return {
      {"train", "denoiser"},     {"steps", 2},
      {"warmup_steps", 1},       {"lanes", 2},
      {"tokens_per_lane", 512},  {"cached_frames", 9},
      {"first_shards", 1},       {"first_clean_share", 0.4},
      {"first_clean_frames", 2}, {"first_noise", 0.1},
      {"evaluation_clips", 2},   {"lengths", {{{"frames", 1}, {"share", 1}}, {{"frames", 9}, {"share", 1}}}}};
}

// The autoencoder of one run, a transformer and a text encoder of other sizes from nothing, and what they
// make, read back.
TEST(CliBookTraining, AModelIsTrainedOnAnAutoencoderOfAnotherRunAndItsClipsAreRead) {
  const TemporaryFolder folder;
  const auto first = folder / "first", run = folder / "run", kept = folder / "kept";
  const auto begun = config_of({vae_stage(), reader_stage(2)});
  expect_done(run_program({"train", write_config(folder, begun).string(), "--out", first.string()}));
  const auto model = (first / "model").string();
  auto config = config_of({denoiser_stage()});
  config.update({{"architecture", model},
                 {"weights", {{"vae", model}}},
                 {"things", 3},
                 {"tokenizer", Json::object()},
                 {"transformer", {{"num_layers", 2}, {"text_dim", 64}}},
                 {"text_encoder", {{"d_model", 64}, {"d_kv", 16}, {"num_layers", 1}}},
                 {"defaults", {{"frames", 9}, {"width", 64}, {"height", 64}, {"max_text_tokens", 64}}}});
  expect_done(run_program({"train", write_config(folder, config).string(), "--out", run.string()}));
  EXPECT_TRUE(bytes_of(run / "model/vae/diffusion_pytorch_model.safetensors") ==
              bytes_of(first / "model/vae/diffusion_pytorch_model.safetensors"));
  const auto text = Json::parse(bytes_of(run / "model/text_encoder/config.json"));
  EXPECT_EQ(text["d_model"], 64);
  EXPECT_EQ(Json::parse(bytes_of(run / "model/t2v.json"))["per_frame_timesteps"], true);

  const std::vector<std::string> common = {"eval",      "world2",
                                           "--reader",  (first / "reader").string(),
                                           "--model",   (run / "model").string(),
                                           "--frames",  "9",
                                           "--things",  "3",
                                           "--prompts", "12",
                                           "--steps",   "1",
                                           "--json",    "--progress",
                                           "none"};
  auto arguments = common;
  arguments.insert(arguments.end(), {"--out", kept.string()});
  const auto result = run_program(arguments);
  expect_done(result);
  EXPECT_EQ(Json::parse(result.out)["sampling"]["steps"], 1);
  EXPECT_TRUE(fs::exists(kept / "00011.mp4"));
  std::ifstream lines(kept / "read.jsonl");
  int untold = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto clip = Json::parse(line);
    const bool told = clip["prompt"].get<std::string>().find("camera") != std::string::npos;
    EXPECT_TRUE(!told || clip["right"]["camera"].is_boolean()) << line;
    untold += clip["right"]["camera"].is_null();
    const auto noun = clip["shown"]["things"][0]["noun"].get<std::string>();
    EXPECT_TRUE(noun == "airplane" || noun == "apple" || noun == "balloon" ||
                noun.find(' ') != std::string::npos)
        << "a thing beyond the first three: " << noun;
  }
  EXPECT_LT(untold, 12);
  arguments = common;
  arguments.insert(arguments.end(), {"--from", "0.5", "--to", "1.5"});
  const auto beyond = run_program(arguments);
  EXPECT_EQ(beyond.code, 2);
  EXPECT_NE(beyond.err.find("1.125 s"), std::string::npos) << beyond.err;
}

void expect_refused(const Json& config, const std::string& part) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  const auto result = run_program({"train", write_config(folder, config).string(), "--out", run.string()});
  EXPECT_EQ(result.code, 2) << result.err;
  EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(run / "model"));
}

TEST(CliBookTraining, WhatDoesNotGoTogetherIsRefusedBeforeTheRun) {
  auto config = config_of({reader_stage(2)});
  config["world"] = 1;
  expect_refused(config, "'world' 2");
  config = config_of({reader_stage(2)});
  config["sizes"] = {{100, 64}};
  expect_refused(config, "multiples of");
  config = config_of({vae_stage()});
  config["emphasis"] = {{"spinning", 2}};
  expect_refused(config, "emphasis");
  config["world"] = 1;
  config["cuts_share"] = 0.5;
  expect_refused(config, "cuts_share");
  config = config_of({vae_stage()});
  config["things"] = 65;
  expect_refused(config, "things");
  config["things"] = 16;
  config["world"] = 1;
  expect_refused(config, "things");
  config = config_of({vae_stage()});
  config["weights"] = {{"tokenizer", "models/none"}};
  expect_refused(config, "unknown key 'tokenizer'");
  config = config_of({vae_stage()});
  config["text_encoder"] = {{"d_modell", 64}};
  expect_refused(config, "did you mean 'd_model'");
  const Json denoiser = {{"train", "denoiser"}, {"steps", 2}};
  config = config_of({denoiser});
  config["cuts_share"] = 0.5;
  expect_refused(config, "cuts_share");
  config = config_of({denoiser});
  config["stages"][0]["adherence_prompts"] = 3;
  expect_refused(config, "adherence_prompts");
  config["stages"][0].erase("adherence_prompts");
  config["stages"][0]["helper_weight"] = 0.1;
  expect_refused(config, "helper_weight");
}

TEST(CliBookTraining, AReaderThatIsNoneIsNamed) {
  const TemporaryFolder folder;
  const auto none = (folder / "none").string();
  auto result = run_program({"eval", "world2", "--reader", none});
  EXPECT_EQ(result.code, 3);
  EXPECT_NE(result.err.find(none), std::string::npos) << result.err;
  result = run_program({"eval", "world2", "--reader", none, "--vae"});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("--model"), std::string::npos) << result.err;
  result = run_program({"eval", "world2", "--reader", none, "--size", "100x100"});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("multiples of 8"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace t2v::test
