// Where settings come from, which win, and what is refused.
#include <nlohmann/json.hpp>

#include "expect.h"
#include "model_copy.h"

namespace t2v::test {

namespace {

using nlohmann::json;

// The plan of a dry run.
json plan_of(const Arguments& more, const Environment& environment = {}) {
  const TemporaryFolder folder;
  Arguments arguments = {"generate", "--dry-run", "--output", (folder / "clip.mp4").string()};
  if (std::find(more.begin(), more.end(), "--config") == more.end())
    arguments.insert(arguments.end(), {"--prompt", "a red circle"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run_program(arguments, environment);
  EXPECT_EQ(result.code, 0) << result.err;
  auto plan = json::parse(result.out, nullptr, false);
  EXPECT_TRUE(plan.is_object()) << result.out;
  return plan;
}

void expect_usage_error(const Arguments& more, const std::vector<std::string>& parts,
                        const Environment& environment = {}) {
  SCOPED_TRACE(testing::PrintToString(more));
  const TemporaryFolder folder;
  Arguments arguments = {"generate", "--prompt", "a red circle", "--output", (folder / "clip.mp4").string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  expect_refused(run_program(arguments, environment), 2, parts);
  EXPECT_TRUE(names_in(folder.path()).empty());
}

bool has_note(const json& plan, const std::string& part) {
  for (const auto& note : plan.at("notes"))
    if (note.get<std::string>().find(part) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST(CliPlan, SaysSizesFramesTokensAndDefaults) {
  const auto plan = plan_of({});
  EXPECT_EQ(plan.at("width"), 128);
  EXPECT_EQ(plan.at("height"), 128);
  EXPECT_EQ(plan.at("frames"), 17);
  EXPECT_EQ(plan.at("fps"), 8);
  EXPECT_EQ(plan.at("steps"), 20);
  EXPECT_EQ(plan.at("scheduler"), "ddpm");
  EXPECT_EQ(plan.at("guidance_scale"), 4);
  EXPECT_EQ(plan.at("latent_shape"), json({1, 8, 5, 8, 8}));
  EXPECT_EQ(plan.at("tokens"), 5 * 4 * 4);
  EXPECT_EQ(plan.at("branches"), 2);
  EXPECT_EQ(plan.at("clips").size(), 1U);
  EXPECT_TRUE(plan.at("notes").empty());
}

TEST(CliPlan, ReadsNoWeights) {
  const TemporaryFolder folder;
  ModelCopy model(folder / "model");
  model.change_tensors(transformer_file, [](RawTensors& tensors) {
    tensors.data.assign(tensors.data.size(), '\xff');
  });  // NaN everywhere
  EXPECT_EQ(plan_of({"--model", model.path()}).at("tokens"), 80);
}

TEST(CliPlan, AspectPicksTheTrainedArea) {
  const auto wide = plan_of({"--aspect", "16:9"});
  EXPECT_EQ(wide.at("width"), 160);
  EXPECT_EQ(wide.at("height"), 96);
  EXPECT_TRUE(has_note(wide, "16:9 became 160x96"));
  EXPECT_EQ(plan_of({"--aspect", "9:16"}).at("height"), 160);
}

TEST(CliPlan, RoundsLengthAndSizeAndSaysSo) {
  const auto plan = plan_of({"--seconds", "1.3", "--fps", "7.5", "--size", "140x100"});
  EXPECT_EQ(plan.at("frames"), 9);
  EXPECT_EQ(plan.at("fps"), 7.5);
  EXPECT_EQ(plan.at("width"), 128);
  EXPECT_EQ(plan.at("height"), 96);
  EXPECT_TRUE(has_note(plan, "10 frames became 9")) << plan.at("notes");
  EXPECT_TRUE(has_note(plan, "140x100 became 128x96")) << plan.at("notes");
}

TEST(CliPlan, AnEnormousClipIsPlannedOrRefusedWithoutWork) {
  const auto plan = plan_of({"--size", "4096x4096", "--frames", "1001"});
  EXPECT_EQ(plan.at("tokens"), 5 * 128 * 128);  // of a window
  EXPECT_EQ(plan.at("windows"), 83);
  expect_usage_error({"--size", "16384x16384", "--frames", "1001", "--dry-run"}, {"positions up to 256"});
  expect_usage_error({"--size", "100000x100000"}, {"--size", "100000x100000"});
  expect_usage_error({"--width", "100000"}, {"--width", "16384"});
}

TEST(CliSettings, FlagsWinOverEnvironmentOverConfigOverModel) {
  const TemporaryFolder folder;
  const auto config = (folder / "config.json").string();
  write_bytes(config, R"({"prompt": "a red circle", "steps": 11})");
  EXPECT_EQ(plan_of({}).at("steps"), 20);
  EXPECT_EQ(plan_of({"--config", config}).at("steps"), 11);
  EXPECT_EQ(plan_of({"--config", config}, {{"T2V_STEPS", "12"}}).at("steps"), 12);
  EXPECT_EQ(plan_of({"--config", config, "--steps", "13"}, {{"T2V_STEPS", "12"}}).at("steps"), 13);
  ModelCopy model(folder / "model");
  model.replace("t2v.json", "{}");
  EXPECT_EQ(plan_of({"--model", model.path(), "--size", "64x64"}).at("steps"), 50);
}

TEST(CliSettings, ABareArgumentIsThePrompt) {
  const auto result = run_program({"generate", "a red circle", "--print-config"});
  expect_done(result);
  EXPECT_EQ(nlohmann::json::parse(result.out)["prompt"], "a red circle");
  expect_refused(run_program({"generate", "a red circle", "-p", "a star", "--dry-run"}), 2,
                 {"prompt is given twice", "'a red circle'"});
  expect_refused(run_program({"generate", "a", "red", "circle", "--dry-run"}), 2, {"'red'"});
}

TEST(CliSettings, PrintedConfigMakesTheSamePlan) {
  const TemporaryFolder folder;
  const Arguments settings = {"generate",    "-p",        "a \"red\" circle \xc3\xa9",
                              "-s",          "5",         "--aspect",
                              "16:9",        "--seconds", "2",
                              "--cfg-scale", "4.5",       "--scheduler",
                              "unipc",       "--resize",  "160x96",
                              "--sidecar",   "-o",        (folder / "a.mp4").string()};
  const auto with = [](Arguments arguments, const std::string& flag) {
    arguments.push_back(flag);
    return arguments;
  };
  const auto config = run_program(with(settings, "--print-config"));
  expect_done(config);
  write_bytes(folder / "config.json", config.out);
  const auto direct = run_program(with(settings, "--dry-run"));
  const auto again = run_program({"generate", "--config", (folder / "config.json").string(), "--dry-run"});
  expect_done(direct);
  expect_done(again);
  auto plan = json::parse(direct.out), planned_again = json::parse(again.out);
  EXPECT_GT(plan.at("time").at("total").get<double>(), 0);
  plan.erase("time");  // is measured
  planned_again.erase("time");
  EXPECT_EQ(plan, planned_again);
  EXPECT_TRUE(plan.at("sidecar").get<bool>());
}

TEST(CliSettings, UnknownNamesAreRefusedWithTheNearest) {
  const TemporaryFolder folder;
  expect_usage_error({"--stepz", "3"}, {"--stepz", "did you mean '--steps'"});
  expect_usage_error({"stray"}, {"stray"});
  write_bytes(folder / "config.json", R"({"promptt": "x"})");
  expect_usage_error({"--config", (folder / "config.json").string()}, {"promptt", "did you mean 'prompt'"});
  expect_usage_error({"--scheduler", "ddin"}, {"ddin", "did you mean 'ddim'"});
  expect_refused(run_program({"generatee", "-p", "x"}), 2, {"generatee", "did you mean 'generate'"});
}

TEST(CliSettings, AMisspeltVariableIsSaid) {
  const TemporaryFolder folder;
  const auto result = run_program({"generate", "-p", "x", "-o", (folder / "a.mp4").string(), "--dry-run"},
                                  {{"T2V_STEPZ", "3"}});
  expect_done(result);
  EXPECT_NE(result.err.find("T2V_STEPS"), std::string::npos) << result.err;
  expect_usage_error({}, {"T2V_STEPS", "abc"}, {{"T2V_STEPS", "abc"}});
}

TEST(CliSettings, BadConfigFilesAreRefused) {
  const TemporaryFolder folder;
  const auto config = (folder / "config.json").string();
  expect_usage_error({"--config", config}, {config});
  for (const std::string bad : {"{\"steps\": \"many\"}", "{\"steps\": 2.5}", "[1]", "{\"steps\": 2",
                                "{\"steps\": 1, \"steps\": 2}", "", "\xff\xfe"}) {
    write_bytes(config, bad);
    expect_usage_error({"--config", config}, {config});
  }
}

TEST(CliSettings, ConflictsAreRefused) {
  expect_usage_error({"--size", "64x64", "--width", "64"}, {"--size", "--width"});
  expect_usage_error({"--size", "64x64", "--aspect", "1:1"}, {"--size", "--aspect"});
  expect_usage_error({"--seconds", "1", "--frames", "5"}, {"--seconds", "--frames"});
  expect_usage_error({"--flow-shift", "3"}, {"--flow-shift"});
  expect_usage_error({"--steps", "3", "--timesteps", "999,499"},
                     {"--timesteps", "2 steps", "--steps says 3"});
  expect_usage_error({"--sigmas", "1,0.5"}, {"--sigmas", "--timesteps"});
  expect_usage_error({"--scheduler", "ddim", "--timesteps", "999,499"}, {"--timesteps", "ddim", "ddpm"});
  expect_usage_error({"--scheduler", "flow-euler"}, {"flow-euler", "ddpm"});
}

// What the scheduler would have taken itself, said as a flag, in a variable, a file and a sidecar.
TEST(CliSettings, GivenTimestepsMakeTheSameClip) {
  const TemporaryFolder folder;
  const auto clip = [&](const std::string& name, const Arguments& more, const Environment& variables = {}) {
    Arguments arguments = {"generate",
                           "-p",
                           "a red circle",
                           "-m",
                           "world-128",
                           "--seed",
                           "5",
                           "--frames",
                           "5",
                           "--scheduler",
                           "ddpm",
                           "--sidecar",
                           "--progress",
                           "none",
                           "-o",
                           (folder / name).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    expect_done(run_program(arguments, variables));
    return bytes_of(folder / name);
  };
  const auto own = clip("own.y4m", {"--steps", "4"});
  EXPECT_TRUE(clip("flag.y4m", {"--timesteps", "999,749,499,249"}) == own);
  EXPECT_TRUE(clip("flags.y4m", {"--timesteps", "999,749", "--timesteps", "499 249"}) == own);
  EXPECT_TRUE(clip("variable.y4m", {}, {{"T2V_TIMESTEPS", "999,749,499,249"}}) == own);
  EXPECT_FALSE(clip("other.y4m", {"--timesteps", "999,700,400,100"}) == own);
  write_bytes(folder / "config.json", R"({"timesteps": [999, 749, 499, 249]})");
  EXPECT_TRUE(clip("file.y4m", {"--config", (folder / "config.json").string()}) == own);
  const auto sidecar = json::parse(bytes_of(folder / "flag.y4m.json"));
  EXPECT_EQ(sidecar.at("settings").at("timesteps"), (json{999, 749, 499, 249}));
  expect_done(run_program({"generate", "--config", (folder / "other.y4m.json").string(), "--progress", "none",
                           "-o", (folder / "again.y4m").string()}));
  EXPECT_TRUE(bytes_of(folder / "again.y4m") == bytes_of(folder / "other.y4m"));
}

TEST(CliSettings, OddValuesAreRefused) {
  expect_usage_error({"--steps", "0"}, {"steps", "found 0"});
  expect_usage_error({"--steps", "-3"}, {"steps", "-3"});
  expect_usage_error({"--steps", "2x"}, {"--steps", "2x"});
  expect_usage_error({"--frames", "-5"}, {"--frames", "-5"});
  expect_usage_error({"--frames", "0"}, {"--frames", "found 0"});
  expect_usage_error({"--seconds", "0"}, {"--seconds"});
  expect_usage_error({"--size", "64"}, {"--size", "64"});
  expect_usage_error({"--size", "-64x64"}, {"--size"});
  expect_usage_error({"--aspect", "16:0"}, {"--aspect", "16:0"});
  expect_usage_error({"--seed", "-1"}, {"--seed", "-1"});
  expect_usage_error({"--seed", "99999999999999999999"}, {"--seed"});
  expect_refused(run_program({"generate", "-p", "x", "--seed", "9223372036854775807", "--count", "2", "-o",
                              "{seed}.mp4"}),
                 2, {"--seed", "too large"});
  expect_usage_error({"--count", "0"}, {"--count"});
  expect_usage_error({"--guidance-scale", "nan"}, {"--guidance-scale", "nan"});
  expect_usage_error({"--guidance-scale", "-1"}, {"--guidance-scale"});
  expect_usage_error({"--guidance-rescale", "1.5"}, {"--guidance-rescale", "between 0 and 1", "1.5"});
  expect_usage_error({"--guidance-rescale", "nan"}, {"--guidance-rescale", "nan"});
  expect_usage_error({"--fps", "0"}, {"--fps"});
  expect_usage_error({"--fps", "inf"}, {"--fps", "inf"});
  expect_usage_error({"--threads", "0"}, {"--threads"});
  expect_usage_error({"--eta", "2"}, {"eta", "2"});
  expect_usage_error({"--crf", "99"}, {"--crf", "99"});
  expect_usage_error({"--dtype", "float3"}, {"--dtype", "float3"});
  expect_usage_error({"--device", "tpu"}, {"--device", "tpu"});
  expect_usage_error({"--device", "cuda:99"}, {"--device cuda:99"});
  expect_usage_error({"--progress", "loud"}, {"--progress", "loud"});
}

}  // namespace t2v::test
