// What t2v train refuses before anything is written.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>

#include "expect.h"
#include "model_copy.h"
#include "starts.h"
#include "train_support.h"

namespace t2v::test {
namespace {

TEST(CliTrain, ATokenizerThatDoesNotFitIsRefusedBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  const auto run = folder / "run";
  auto config = tokenizer_config(folder, Json::object());
  for (const int size : {5, 5000}) {
    config["tokenizer"] = {{"vocab_size", size}};
    const auto path = write_json(folder, config);
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
