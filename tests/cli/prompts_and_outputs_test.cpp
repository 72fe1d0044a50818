// Prompts and output names, refused before weights load: here the weights are damaged as well, and are not
// what the message is about.
#include "expect.h"
#include "model_copy.h"

namespace t2v::test {

namespace {

// The shipped model with weights that no run gets past.
class DamagedModel {
 public:
  DamagedModel() : model_(folder_ / "model") { model_.truncate(transformer_file, 1000); }
  Arguments with(const Arguments& more) const {
    Arguments all = {"--model", model_.path()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

 private:
  TemporaryFolder folder_;
  ModelCopy model_;
};

ProgramResult generate_prompt(const std::string& prompt, const Arguments& more = {}) {
  const TemporaryFolder folder;
  Arguments arguments = {"generate", "--prompt=" + prompt, "-o", (folder / "a.mp4").string(), "--steps",
                         "2",        "--frames",           "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments);
}

}  // namespace

TEST(CliPrompt, BadUtf8IsRefusedWithItsByte) {
  expect_refused(generate_prompt("caf\xc3\xa9 \xff"), 2, {"--prompt", "invalid UTF-8 at byte 6"});
  expect_refused(generate_prompt("ab\xc3"), 2, {"at byte 2"});         // cut within a character
  expect_refused(generate_prompt("\xc0\xaf"), 2, {"at byte 0"});       // overlong
  expect_refused(generate_prompt("x\xed\xa0\x80"), 2, {"at byte 1"});  // surrogate
  expect_refused(generate_prompt("fine", {"--negative-prompt", "a\xfe"}), 2,
                 {"--negative-prompt", "at byte 1"});
  expect_refused(run_program({"generate", "--prompt", "ab\xff", "--print-config"}), 2,
                 {"--prompt", "at byte 2"});
}

TEST(CliPrompt, ControlCharactersAreRefusedWithTheirByte) {
  expect_refused(generate_prompt("ab\x01"), 2, {"U+0001 at byte 2"});
  expect_refused(generate_prompt("\x1b[31mred"), 2, {"U+001B at byte 0"});
  expect_refused(generate_prompt("a\xc2\x85"), 2, {"U+0085 at byte 1"});
}

TEST(CliPrompt, NulFromAConfigFileIsRefusedWithItsByte) {
  const TemporaryFolder folder;
  write_bytes(folder / "config.json", R"({"prompt": "abc\u0000def"})");
  expect_refused(run_program({"generate", "--config", (folder / "config.json").string(), "-o",
                              (folder / "a.mp4").string()}),
                 2, {"config.json", "prompt", "NUL byte at byte 3"});
}

TEST(CliPrompt, ALongPromptSaysHowManyTokensAreKept) {
  std::string prompt;
  for (int i = 0; i < 2000; ++i) prompt += "red circle ";
  const auto result = generate_prompt(prompt);
  expect_done(result);
  EXPECT_NE(result.err.find("the prompt has 4001 tokens; the model reads the first 40"), std::string::npos)
      << result.err.substr(0, 400);
}

TEST(CliPrompt, TheEmptyPromptMakesAClip) { expect_done(generate_prompt("")); }

TEST(CliPrompt, NoPromptIsRefused) {
  const TemporaryFolder folder;
  expect_refused(run_program({"generate", "-o", (folder / "a.mp4").string()}), 2, {"a prompt is needed"});
}

TEST(CliOutput, FoldersThatCannotBeWrittenEndWithFourBeforeWeightsLoad) {
  const TemporaryFolder folder;
  const DamagedModel model;
  write_bytes(folder / "file", "not a folder");
  for (const auto& output : {(folder / "missing/clip.mp4").string(), (folder / "file/clip.mp4").string(),
                             std::string("/proc/clip.mp4")})
    expect_refused(run_program(quick_clip(output, model.with({}))), 4,
                   {std::filesystem::path(output).parent_path().string()});
  std::filesystem::create_directory(folder / "folder.mp4");
  expect_refused(run_program(quick_clip(folder / "folder.mp4", model.with({}))), 4, {"is a folder"});
  expect_refused(
      run_program(quick_clip(folder / "a.mp4",
                             model.with({"--save-latents", (folder / "missing/l.safetensors").string()}))),
      4, {"missing"});
  expect_refused(
      run_program(quick_clip(folder / "a.mp4", model.with({"--trace", (folder / "file").string()}))), 4,
      {"file"});
  expect_refused(
      run_program({"encode", (folder / "file").string(), "-o", (folder / "missing/l.safetensors").string()}),
      4, {"missing"});
  expect_refused(run_program({"encode", (folder / "file").string(), "-o", (folder / "l.mp4").string()}), 2,
                 {"l.mp4", ".safetensors"});
}

TEST(CliOutput, NamesThatCannotWorkEndWithTwoBeforeWeightsLoad) {
  const TemporaryFolder folder;
  const DamagedModel model;
  const auto refused = [&](const std::string& output, const Arguments& more,
                           const std::vector<std::string>& parts) {
    SCOPED_TRACE(output);
    expect_refused(run_program(quick_clip(output, model.with(more)), {}, folder.path()), 2, parts);
  };
  refused("clip.xyz", {}, {"unknown extension '.xyz'", ".mp4"});
  refused("clip", {}, {"no extension"});
  refused("http://example.org/clip.mp4", {}, {"protocol 'http:'"});
  refused("concat:clip.mp4", {}, {"protocol 'concat:'"});
  refused("pipe:1.mp4", {}, {"protocol 'pipe:'"});
  refused("clip.png", {}, {"5 frames", "%05d.png"});
  refused("clip.mp4", {"--resize", "33x32"}, {"even", "34x32"});
  refused("clip.mp4", {"--resize", "0x32"}, {"--resize"});
  refused("clip.mp4", {"--resize-filter", "cubic"}, {"lanczos or nearest", "cubic"});
  refused("clip.mp4", {"--count", "2"}, {"{index}", "2 times"});
  refused("{index}.mp4", {"--count", "2", "--save-latents", "l.safetensors"}, {"--save-latents", "{index}"});
  refused("clip.mp4", {"--save-latents", "l.mp4"}, {"--save-latents", "l.mp4", ".safetensors"});
  refused("{nonsense}.mp4", {}, {"{nonsense}", "{index} {seed} {prompt} {date}"});
  refused("{index.mp4", {}, {"{index.mp4"});
  refused("clip\xff.mp4", {}, {"--output", "invalid UTF-8 at byte 4"});
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(CliOutput, TemplatesAreFilledIn) {
  const TemporaryFolder folder;
  const auto plan = run_program({"generate", "-p", "A red Circle!", "-s", "7", "--count", "2", "-o",
                                 (folder / "{index:03}-{seed}-{prompt}.mp4").string(), "--dry-run"});
  expect_done(plan);
  const auto json = nlohmann::json::parse(plan.out);
  EXPECT_EQ(json.at("clips").at(0).at("output"), (folder / "000-7-a-red-circle.mp4").string());
  EXPECT_EQ(json.at("clips").at(1).at("output"), (folder / "001-8-a-red-circle.mp4").string());
}

}  // namespace t2v::test
