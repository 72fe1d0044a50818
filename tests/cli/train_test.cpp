// t2v train as a user runs it, on runs of a few steps.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "expect.h"
#include "model_copy.h"
#include "starts.h"

namespace t2v::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Writes folder / "config.json".
fs::path write_json(const TemporaryFolder& folder, const Json& config) {
  const auto path = folder / "config.json";
  std::ofstream(path) << config.dump(1);
  return path;
}

// A run of a denoiser alone; without weights to begin from, over an autoencoder of random ones.
Json denoiser_config(int steps, const Json& more = Json::object()) {
  Json denoiser = {{"train", "denoiser"},
                   {"steps", steps},
                   {"warmup_steps", 2},
                   {"lanes", 2},
                   {"tokens_per_lane", 160},
                   {"cached_frames", 9},
                   {"first_shards", 1},
                   {"evaluation_clips", 2},
                   {"log_steps", 1},
                   {"checkpoint_minutes", 0},
                   {"lengths", {{{"frames", 1}, {"share", 1}}, {{"frames", 9}, {"share", 1}}}}};
  denoiser.update(more);
  return {{"architecture", shipped_model().string()}, {"seed", 3}, {"stages", Json::array({denoiser})}};
}

// The same after a stage of an autoencoder.
Json both_stages(int denoiser_steps) {
  const Json vae = {
      {"train", "vae"},          {"steps", 2},
      {"warmup_steps", 1},       {"lanes", 2},
      {"pixels_per_lane", 6000}, {"evaluation_clips", 1},
      {"log_steps", 1},          {"clips", {{{"width", 32}, {"height", 32}, {"frames", 5}, {"crop", true}}}}};
  auto config = denoiser_config(denoiser_steps);
  config["stages"].insert(config["stages"].begin(), vae);
  return config;
}

fs::path write_config(const TemporaryFolder& folder, int steps, const Json& more = Json::object()) {
  return write_json(folder, denoiser_config(steps, more));
}

std::vector<double> losses_of(const fs::path& run, const std::string& stage) {
  std::vector<double> losses;
  std::ifstream file(run / "metrics.jsonl");
  for (std::string text; std::getline(file, text);) {
    const auto line = Json::parse(text);
    if (line["stage"] == stage && line.contains("loss")) losses.push_back(line["loss"].get<double>());
  }
  return losses;
}

void wait_for(const fs::path& path) {
  for (int i = 0; i < 6000 && !fs::exists(path); ++i) ::usleep(10'000);
}

std::string weights_of_run(const fs::path& run) {
  return bytes_of(run / "model" / "transformer" / "diffusion_pytorch_model.safetensors");
}

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

// Two clips of things that the shipped model knows no words for.
fs::path write_clips(const fs::path& clips) {
  fs::create_directory(clips);
  expect_done(run_program({"generate", "-p", "a red circle", "--frames", "5", "--steps", "1", "--seed", "1",
                           "--count", "2", "-o", (clips / "{index}.mp4").string()}));
  std::ofstream(clips / "0.txt") << "A kestrel hovering over a hedgerow";
  std::ofstream(clips / "1.txt") << "a lapwing standing in a meadow";
  return clips;
}

TEST(CliTrain, ATokenizerIsTrainedOnTheCaptionsOfAFolder) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  const auto path = write_config(folder, 2);
  auto config = Json::parse(bytes_of(path));
  config["data"] = write_clips(folder / "clips").string();
  config["tokenizer"] = {{"vocab_size", 25}};
  std::ofstream(path) << config.dump();
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
  const auto path = write_config(folder, 2);
  auto config = Json::parse(bytes_of(path));
  config["data"] = write_clips(folder / "clips").string();
  config["tokenizer"] = Json::object();
  std::ofstream(path) << config.dump();
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

// Pixels folded four by four instead of two by two: twice the width and height on the same latents.
TEST(CliTrain, AModelGoesOnAtTwiceItsSize) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  const auto path = write_json(folder, both_stages(2));
  auto config = Json::parse(bytes_of(path));
  config["vae"] = {
      {"patch_size", 4}, {"in_channels", 48}, {"out_channels", 48}, {"scale_factor_spatial", 16}};
  config["weights"] = shipped_model().string();
  config["sizes"] = {{128, 128}, {160, 96}};
  config["defaults"] = {{"width", 128}, {"height", 128}};
  std::ofstream(path) << config.dump();
  expect_done(run_program({"train", path.string(), "--out", run.string()}));
  const auto clip = folder / "clip.png";
  expect_done(run_program({"generate", "-m", (run / "model").string(), "-p", "a red circle", "--frames", "1",
                           "--steps", "1", "-o", clip.string()}));
  const auto info = run_program({"info", clip.string(), "--json"});
  expect_done(info);
  const auto read = Json::parse(info.out);
  EXPECT_EQ(read["width"], 128) << info.out;
  EXPECT_EQ(read["height"], 128) << info.out;

  config["vae"] = {
      {"patch_size", 3}, {"in_channels", 27}, {"out_channels", 27}, {"scale_factor_spatial", 12}};
  config["sizes"] = {{96, 96}};
  config["stages"].erase(0);
  std::ofstream(path) << config.dump();
  const auto refused = run_program({"train", path.string(), "--out", (folder / "other").string()});
  EXPECT_EQ(refused.code, 3);
  EXPECT_NE(refused.err.find("should have a multiple of that, found 3"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(folder / "other" / "model"));
}

TEST(CliTrain, AModelGoesOnWithMoreBlocks) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  const auto path = write_config(folder, 2);
  auto config = Json::parse(bytes_of(path));
  config["weights"] = shipped_model().string();
  const auto train = [&](const Json& transformer, const fs::path& out, std::vector<std::string> more = {}) {
    config["transformer"] = transformer;
    std::ofstream(path) << config.dump();
    more.insert(more.begin(), {"train", path.string(), "--out", out.string()});
    return run_program(more);
  };
  expect_done(train({{"num_layers", 10}}, run));
  EXPECT_EQ(Json::parse(bytes_of(run / "model" / "transformer" / "config.json"))["num_layers"], 10);
  expect_done(run_program({"generate", "-m", (run / "model").string(), "-p", "a red circle", "--frames", "1",
                           "--steps", "1", "-o", (folder / "clip.png").string()}));

  struct Case {
    Json transformer;
    int code;
    const char* message;
  };
  const Case cases[] = {
      {{{"num_layers", 4}}, 3, "should have at least as many, found 4"},
      {{{"ffn_dim", 24}}, 3, "blocks.0.ffn.net.0.proj.weight"},
      {{{"num_layer", 10}}, 2, "transformer: unknown key 'num_layer'; did you mean 'num_layers'?"},
      {{{"num_layers", -1}}, 2, "num_layers"},
      {10, 2, "transformer: should be an object"},
  };
  for (const auto& [transformer, code, message] : cases) {
    expect_refused(train(transformer, folder / "other"), code, {message});
    EXPECT_FALSE(fs::exists(folder / "other" / "model")) << transformer;
  }
  expect_refused(train({{"num_layers", 12}}, run, {"--resume"}), 2,
                 {"'num_layers' of the transformer is 12"});
}

// With learning rates of 0 the weights that a run begins with are those that it writes.
TEST(CliTrain, ARunBeginsFromTheMeanOfModels) {
  const TemporaryFolder folder;
  const Json still = {{"optimizer", {{"muon_learning_rate", 0}, {"adam_learning_rate", 0}}}};
  const auto path = write_config(folder, 1, still);
  auto config = Json::parse(bytes_of(path));
  std::ofstream(path) << config.dump();
  const auto train = [&](const char* name, std::vector<std::string> more) {
    more.insert(more.begin(), {"train", path.string(), "--out", (folder / name).string()});
    expect_done(run_program(more));
    return (folder / name / "model").string();
  };
  const auto weights = [](const std::string& model) {
    return floats_of(read_raw_tensors(fs::path(model) / transformer_file), "blocks.3.ffn.net.2.weight");
  };
  const auto shipped = shipped_model().string();
  const auto random = train("random", {});
  const auto first = weights(shipped), second = weights(random);
  const auto expect_mean = [&](const std::string& model) {
    const auto found = weights(model);
    ASSERT_EQ(found.size(), first.size());
    for (std::size_t i = 0; i < found.size(); i += 97)
      EXPECT_NEAR(found[i], (first[i] + second[i]) / 2, 1e-6);
  };
  EXPECT_NE(first, second);
  expect_mean(train("flags", {"--model", shipped, "-m", random}));
  config["weights"] = {shipped, random};
  std::ofstream(path) << config.dump();
  expect_mean(train("list", {}));

  config["stages"] = Json::array();
  std::ofstream(path) << config.dump();
  expect_mean(train("mean", {}));
  config["weights"] = shipped;
  std::ofstream(path) << config.dump();
  expect_refused(run_program({"train", path.string(), "--out", (folder / "other").string()}), 2,
                 {"'stages'", "--model"});

  config["weights"] = 7;
  std::ofstream(path) << config.dump();
  expect_refused(run_program({"train", path.string(), "--out", (folder / "other").string()}), 2,
                 {"'weights'"});
}

TEST(CliTrain, ATokenizerThatDoesNotFitIsRefusedBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  const auto path = write_config(folder, 2);
  auto config = Json::parse(bytes_of(path));
  config["data"] = write_clips(folder / "clips").string();
  for (const int size : {5, 5000}) {
    config["tokenizer"] = {{"vocab_size", size}};
    std::ofstream(path) << config.dump();
    const auto refused = run_program({"train", path.string(), "--out", run.string()});
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("'vocab_size' should be between "), std::string::npos) << refused.err;
    EXPECT_FALSE(fs::exists(run / "model"));
  }
}

TEST(CliTrain, ADeviceThatIsNotThereIsRefusedBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  const auto config = write_config(folder, 1).string();
  const auto run = folder / "run";
  for (const char* device : {"tpu", "cuda:99"})
    expect_refused(run_program({"train", config, "--out", run.string(), "--device", device}), 2,
                   {std::string("--device"), device});
  EXPECT_FALSE(fs::exists(run / "model"));
}

// An autoencoder of temporal ratio 2, where that of the shipped model has 4.
TEST(CliTrain, LengthsFollowTheTemporalRatioOfTheAutoencoder) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  auto config = both_stages(2);
  config["vae"] = {{"temperal_downsample", {false, true}}, {"scale_factor_temporal", 2}};
  config["stages"][0]["clips"][0]["frames"] = 7;
  config["stages"][1]["cached_frames"] = 7;
  config["stages"][1]["lengths"] = {{{"frames", 3}, {"share", 1}}, {{"frames", 7}, {"share", 1}}};
  expect_done(run_program({"train", write_json(folder, config).string(), "--out", run.string()}));
  const auto shard = read_raw_tensors(run / "latents" / "latents-00000.safetensors");
  EXPECT_EQ(shard.header["0"]["shape"][1], 4) << shard.header["0"];
  EXPECT_EQ(shard.header["0.labels"]["shape"][1], 4) << shard.header["0.labels"];
  std::string metrics = bytes_of(run / "metrics.jsonl");
  for (const char* length : {"loss_3", "loss_7"}) EXPECT_NE(metrics.find(length), std::string::npos);
  const auto clip = folder / "clip.mp4";
  expect_done(run_program({"generate", "-m", (run / "model").string(), "-p", "a red circle", "--frames", "7",
                           "--steps", "1", "-o", clip.string()}));
  EXPECT_EQ(Json::parse(run_program({"info", clip.string(), "--json"}).out)["frames"], 7);
}

TEST(CliTrain, TheModelSaysWhetherItWasTrainedWithLevelsPerFrame) {
  const TemporaryFolder folder;
  const Json alike = {{"first_clean_share", 0}, {"independent_share", 0}};
  const auto train = [&](const std::string& name, const Json& config, std::vector<std::string> more = {}) {
    more.insert(more.begin(),
                {"train", write_json(folder, config).string(), "--out", (folder / name).string()});
    expect_done(run_program(more));
    return (folder / name / "model").string();
  };
  const auto says_so = [](const std::string& model) {
    return Json::parse(bytes_of(fs::path(model) / "t2v.json")).value("per_frame_timesteps", false);
  };
  const auto shipped = shipped_model().string();
  const auto levels = train("levels", denoiser_config(1));
  EXPECT_TRUE(says_so(levels));
  const auto none = train("none", denoiser_config(1, alike), {"--model", shipped});
  EXPECT_FALSE(says_so(none));
  EXPECT_FALSE(says_so(train("images", denoiser_config(1, {{"lengths", {{{"frames", 1}, {"share", 1}}}}}))));
  auto no_stage = denoiser_config(1);
  no_stage["stages"] = Json::array();
  EXPECT_TRUE(says_so(train("mean", no_stage, {"--model", shipped, "--model", levels})));
  EXPECT_FALSE(says_so(train("mixed", no_stage, {"--model", shipped, "--model", none})));
}

TEST(CliTrain, AFolderThatMayNotBeReadIsNamed) {
  const TemporaryFolder folder;
  const auto clips = folder / "clips";
  fs::create_directories(clips / "closed");
  const auto refused = [&] {
    return run_program({"train", write_config(folder, 1).string(), "--data", clips.string(), "--out",
                        (folder / "run").string()},
                       {}, {}, without_override());
  };
  fs::permissions(clips / "closed", fs::perms::none);
  expect_refused(refused(), 3, {(clips / "closed").string() + ": cannot be listed"});
  fs::permissions(clips / "closed", fs::perms::owner_all);
  fs::permissions(clips, fs::perms::none);
  expect_refused(refused(), 3, {clips.string() + ": cannot be listed"});
  fs::permissions(clips, fs::perms::owner_all);
}

TEST(CliTrain, AMisspeltKeyIsNamed) {
  const TemporaryFolder folder;
  const auto config = write_config(folder, 2, {{"caption_droput", 0.1}});
  const auto result = run_program({"train", config.string(), "--out", (folder / "run").string()});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("did you mean 'caption_dropout'"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(folder / "run"));
}

// What is wrong with a config shows at once, and the corrected one runs without --resume.
TEST(CliTrain, AConfigThatCannotWorkIsRefusedBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  const auto good = both_stages(1);
  const auto train = [&](const Json& config) {
    return run_program({"train", write_json(folder, config).string(), "--out", run.string()});
  };
  const auto refused = [&](const std::function<void(Json&)>& change, const std::string& complaint) {
    auto config = good;
    change(config);
    expect_refused(train(config), 2, {complaint});
    EXPECT_FALSE(fs::exists(run / "model"));
  };
  refused([](Json& config) { config["defaults"] = {{"frame", 17}}; }, "did you mean 'frames'");
  refused([](Json& config) { config["stages"][1]["tokens_per_lane"] = 40; },
          "9 frames of 128x128 are 48 tokens");
  refused([](Json& config) { config["stages"][0]["clips"][0]["width"] = 56; }, "at most 96x96");
  refused([](Json& config) { config["stages"][0]["clips"][0]["height"] = 20; }, "multiples of 16");
  refused([](Json& config) { config["stages"][1]["cached_frames"] = 18; },
          "'cached_frames' should be 1 + 4·k frames, found 18");
  refused([](Json& config) { config["stages"][1]["lengths"][1]["frames"] = 7; },
          "'frames' of 'lengths' should be 1 + 4·k frames, found 7");
  refused([](Json& config) { config["stages"][0]["clips"][0]["frames"] = 6; },
          "'frames' of 'clips' should be 1 + 4·k frames, found 6");
  refused(
      [](Json& config) {
        config["defaults"] = {{"per_frame_timesteps", true}};
      },
      "'per_frame_timesteps' is what training writes");
  refused(
      [](Json& config) {
        config["stages"][1]["adherence_prompts"] = 4;
        config["defaults"] = {{"fps", 24}};
      },
      "8 frames per second");
  refused(
      [](Json& config) {
        config["stages"][1]["helper_weight"] = 0.1;
        config["data"] = "nowhere";
      },
      "helper_weight");
  expect_done(train(good));
}

TEST(CliTrain, EmphasisKnowsTheNamesOfTheWorld) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  const auto path = write_config(folder, 1);
  auto config = Json::parse(bytes_of(path));
  const auto train = [&](const Json& emphasis) {
    config["emphasis"] = emphasis;
    std::ofstream(path) << config.dump();
    return run_program({"train", path.string(), "--out", run.string()});
  };
  expect_refused(train({{"spining", 3}}), 2, {"emphasis", "did you mean 'spinning'"});
  expect_refused(train({{"star", 0}}), 2, {"'star' should be between", "found 0"});
  expect_refused(train(Json::array({"star"})), 2, {"emphasis", "should be an object"});
  EXPECT_FALSE(fs::exists(run));
  expect_done(train({{"spinning", 3}, {"star", 2}}));
}

}  // namespace
}  // namespace t2v::test
