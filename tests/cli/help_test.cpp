// Help, version and descriptions.
#include <nlohmann/json.hpp>

#include "expect.h"
#include "model_copy.h"

namespace t2v::test {

TEST(CliHelp, EverySubcommandHasHelpWithAnExample) {
  for (const std::string command : {"generate", "batch", "report", "decode", "encode", "info", "eval",
                                    "train", "world", "bench", "completion"}) {
    const auto help = run_program({command, "--help"});
    expect_done(help);
    EXPECT_EQ(help.err, "");
    EXPECT_NE(help.out.find("Example"), std::string::npos) << help.out;
    EXPECT_NE(help.out.find("t2v " + command), std::string::npos) << help.out;
  }
  const auto generate = run_program({"generate", "--help"}).out;
  for (const char* group : {"What to make", "Model and sampling", "Output", "Latents", "Machine", "Run"})
    EXPECT_NE(generate.find(group), std::string::npos) << group;
  for (const char* flag : {"--prompt", "--cfg-scale", "--init-latents", "--dry-run", "--config"})
    EXPECT_NE(generate.find(flag), std::string::npos) << flag;
  const auto program = run_program({"--help"});
  expect_done(program);
  for (const char* command : {"generate", "batch", "report", "decode", "encode", "info", "eval", "train",
                              "world", "bench", "completion", "129 / 130 / 143"})
    EXPECT_NE(program.out.find(command), std::string::npos) << command;
}

TEST(CliHelp, VersionIsOneLine) {
  const auto result = run_program({"--version"});
  expect_done(result);
  EXPECT_TRUE(result.out.starts_with("t2v ")) << result.out;
  EXPECT_EQ(lines_of(result.out).size(), 1U);
}

TEST(CliHelp, NoSubcommandIsAUsageErrorThatSaysInFiveLinesWhatToType) {
  const auto result = run_program({});
  expect_refused(result, 2, {"subcommand", "t2v --help", "t2v info", "README.md"});
  const auto lines = lines_of(result.err);
  ASSERT_EQ(lines.size(), 5U) << result.err;
  // What it says works as it stands.
  const TemporaryFolder folder;
  const auto begin = lines[1].find('"'), end = lines[1].rfind('"');
  ASSERT_LT(begin, end) << lines[1];
  EXPECT_EQ(lines[1].substr(0, begin), "  t2v generate ");
  EXPECT_EQ(lines[1].substr(end + 1), " -o clip.mp4");
  expect_done(run_program({"generate", lines[1].substr(begin + 1, end - begin - 1), "-o", "clip.mp4"},
                          {{"T2V_STEPS", "1"}}, folder.path()));
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"clip.mp4"});
}

TEST(CliInfo, DescribesProgramModelAndTensors) {
  const auto program = run_program({"info", "--json"});
  expect_done(program);
  EXPECT_TRUE(nlohmann::json::parse(program.out).contains("libtorch"));
  EXPECT_TRUE(
      nlohmann::json::parse(program.out).at("default_model").get<std::string>().ends_with("models/world-128"))
      << program.out;
  const auto model = run_program({"info", "world-128", "--json"});
  expect_done(model);
  const auto json = nlohmann::json::parse(model.out);
  EXPECT_EQ(json.at("parameters"), 4521240);
  EXPECT_EQ(json.at("hash").get<std::string>().size(), 32U);
  EXPECT_EQ(json.at("sizes"), nlohmann::json({"128x128", "160x96", "96x160"}));
  const auto tensors = run_program({"info", "--json", (shipped_model() / transformer_file).string()});
  expect_done(tensors);
  EXPECT_EQ(nlohmann::json::parse(tensors.out).at("tensors").at("blocks.0.attn1.norm_k.weight"), "F16 [128]");
  const auto lines = run_program({"info", "world-128"});
  expect_done(lines);
  EXPECT_NE(lines.out.find("parameters: 4521240"), std::string::npos) << lines.out;
}

TEST(CliInfo, RefusesWhatItDoesNotKnow) {
  const TemporaryFolder folder;
  write_bytes(folder / "text.mp4", "not a video");
  expect_refused(run_program({"info", (folder / "text.mp4").string()}), 3, {"text.mp4"});
  expect_refused(run_program({"info", "nothing-here"}), 3, {"nothing-here"});
  expect_refused(run_program({"info", "--jason"}), 2, {"--jason", "--json"});
}

}  // namespace t2v::test
