// Models that t2v train makes of others: larger ones, means, half precision.
#include <gtest/gtest.h>

#include <algorithm>

#include "expect.h"
#include "model_copy.h"
#include "train_support.h"

namespace t2v::test {
namespace {

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

  // In half precision the same model is half the size.
  config["weights_dtype"] = "float16";
  std::ofstream(path) << config.dump();
  const auto half = train("half", {});
  const auto stored = read_raw_tensors(fs::path(half) / transformer_file);
  for (const auto& [name, tensor] : stored.header.items()) {
    if (name == "__metadata__") continue;
    EXPECT_EQ(tensor.at("dtype"), "F16") << name;
  }
  const auto found = weights(half);
  for (std::size_t i = 0; i < found.size(); i += 97) EXPECT_NEAR(found[i], first[i], 1e-3);
  config["weights_dtype"] = "float8";
  std::ofstream(path) << config.dump();
  expect_refused(run_program({"train", path.string(), "--out", (folder / "other").string()}), 2,
                 {"weights_dtype", "float32, float16", "float8"});

  config["weights_dtype"] = "float32";
  config["weights"] = 7;
  std::ofstream(path) << config.dump();
  expect_refused(run_program({"train", path.string(), "--out", (folder / "other").string()}), 2,
                 {"'weights'"});
}

}  // namespace
}  // namespace t2v::test
