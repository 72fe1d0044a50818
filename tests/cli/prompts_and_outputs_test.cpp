// Prompts and output names, refused before weights load: here the weights are damaged as well, and are not
// what the message is about.
#include <sys/stat.h>

#include "expect.h"
#include "model_copy.h"
#include "starts.h"

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

TEST(CliOutput, OpenJdLinesAreMixedIntoNothingElseOnStdout) {
  const TemporaryFolder folder;
  const auto file = [&](const char* name) { return (folder / name).string(); };
  expect_done(run_program(quick_clip(folder / "clip.y4m", {"--save-latents", file("l.safetensors")})));
  write_bytes(folder / "p.txt", "a red circle\n");
  write_bytes(folder / "config.json", R"({"output": "-"})");
  const auto refused = [&](Arguments arguments, const Environment& environment = {}) {
    arguments.insert(arguments.end(), {"--progress", "openjd"});
    const auto result = run_program(arguments, environment);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_NE(result.err.find("--progress json"), std::string::npos) << result.err;
    EXPECT_TRUE(result.out.starts_with("openjd_fail: ")) << result.out.substr(0, 100);
    EXPECT_EQ(lines_of(result.out).size(), 1U);
  };
  refused(quick_clip("-"));
  refused({"generate", "-p", "a", "--config", file("config.json")});
  refused({"generate", "-p", "a"}, {{"T2V_OUTPUT", "-"}});
  refused({"decode", file("l.safetensors"), "-o", "-"});
  refused({"batch", file("p.txt"), "--out-dir", file("out"), "--json"});
  refused({"eval", "world", "--prompts", "1", "--json"});
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

TEST(CliOutput, EveryCommandTellsARenderManagerThatItFailed) {
  for (const Arguments& arguments : std::vector<Arguments>{{"generate", "-p", "a", "-o", "a.xyz"},
                                                           {"decode", "absent.safetensors", "-o", "a.mp4"},
                                                           {"encode", "absent.mp4", "-o", "a.safetensors"},
                                                           {"eval", "world", "--side", "none"},
                                                           {"train", "absent.json", "--out", "run"},
                                                           {"batch", "absent.txt", "--out-dir", "out"}}) {
    const TemporaryFolder folder;
    auto words = arguments;
    words.insert(words.end(), {"--progress", "openjd"});
    const auto result = run_program(words, {}, folder.path());
    EXPECT_GT(result.code, 1) << result.err;
    EXPECT_TRUE(result.out.starts_with("openjd_fail: ")) << arguments[0] << ": " << result.out;
  }
}

TEST(CliOutput, NamesThatAreTooLongEndWithTwoBeforeWeightsLoad) {
  const TemporaryFolder folder;
  const DamagedModel model;
  const auto name = [](std::size_t bytes, const std::string& end) {
    return std::string(bytes - end.size(), 'a') + end;
  };
  const auto refused = [&](const Arguments& arguments, const std::vector<std::string>& parts) {
    expect_refused(run_program(arguments, {}, folder.path()), 2, parts);
  };
  const auto clip = [&](const std::string& output, const Arguments& more = {}) {
    return quick_clip(output, model.with(more));
  };
  refused(clip(name(256, ".mp4")), {"256 bytes", "255"});
  refused(clip(name(500, ".mp4")), {"500 bytes"});
  refused(clip(name(256, "") + "/clip.mp4"), {"256 bytes"});
  for (const std::size_t bytes : {251, 252, 255})
    refused(clip(name(bytes, ".mp4"), {"--sidecar"}), {".mp4.json", std::to_string(bytes + 5) + " bytes"});
  refused(clip(name(254, "%d.png"), {"--frames", "17", "--sidecar"}), {"%d.png.json"});
  refused(clip(name(255, "%09d.png")), {"260 bytes"});  // %09d is written with nine digits
  refused(clip(name(250, "") + "{index:04}.mp4"), {"258 bytes"});
  refused(clip(name(230, "") + "{prompt}.mp4"), {"bytes"});
  refused(clip("a.mp4", {"--save-latents", name(256, ".safetensors")}), {"256 bytes"});
  refused(clip("a.mp4", {"--trace", name(256, "")}), {"256 bytes"});
  refused({"encode", "a.mp4", "-o", name(256, ".safetensors")}, {"256 bytes"});
  refused({"eval", "world", "--out", name(256, "")}, {"256 bytes"});
  write_bytes(folder / "c.json", R"({"architecture": "world-128", "stages": [{"train": "vae", "steps": 1}]})");
  refused({"train", "c.json", "--out", name(256, "")}, {"256 bytes"});
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"c.json"}));
}

TEST(CliOutput, NamesOfAllTheBytesThatANameMayHaveAreWritten) {
  const TemporaryFolder folder;
  for (std::size_t bytes = 240; bytes <= 255; bytes += 5) {
    const auto name = std::string(bytes - 4, 'a') + ".mp4";
    const bool sidecar = bytes <= 250;
    const auto result = run_program(
        quick_clip(name, sidecar ? Arguments{"--sidecar", "--checkpoint-every", "1"}
                                 : Arguments{"--checkpoint-every", "1"}),
        {}, folder.path());
    expect_done(result);
    EXPECT_EQ(result.out, name + "\n");
    EXPECT_TRUE(std::filesystem::exists(folder / name));
    std::error_code too_long;
    EXPECT_EQ(std::filesystem::exists(folder / (name + ".json"), too_long), sidecar);
  }
  EXPECT_EQ(names_in(folder.path()).size(), 7U);  // four clips, three sidecars, no checkpoint
}

TEST(CliOutput, LatentsAreKeptUnderAShorterNameWhereTheClipsIsLong) {
  const TemporaryFolder folder;
  const Start small_files{.prepare = [] { set_limit(RLIMIT_FSIZE, 20000); }};
  const auto result = run_program(quick_clip(std::string(251, 'a') + ".y4m"), {}, folder.path(), small_files);
  expect_refused(result, 4, {"File too large", "latents are kept in "});
  const auto names = names_in(folder.path());
  ASSERT_EQ(names.size(), 1U);
  EXPECT_TRUE(names[0].ends_with(".latents.safetensors"));
  expect_done(run_program({"decode", names[0], "-o", "again.y4m"}, {}, folder.path()));
}

TEST(CliOutput, ALinkIsWrittenThroughAndASpecialFileIsRefused) {
  const TemporaryFolder folder;
  const DamagedModel model;
  std::filesystem::create_directory(folder / "disk");
  std::filesystem::create_symlink("disk/clip.mp4", folder / "clip.mp4");
  const auto result = run_program(quick_clip("clip.mp4"), {}, folder.path());
  expect_done(result);
  EXPECT_EQ(result.out, "clip.mp4\n");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "clip.mp4"));
  EXPECT_EQ(names_in(folder / "disk"), (std::vector<std::string>{"clip.mp4"}));
  std::filesystem::create_symlink("absent/clip.mp4", folder / "lost.mp4");
  std::filesystem::create_symlink("/dev/null", folder / "null.mp4");
  ASSERT_EQ(::mkfifo((folder / "pipe.mp4").c_str(), 0600), 0);
  for (const auto& [name, reason] :
       {std::pair{"lost.mp4", "absent"}, {"null.mp4", "device or pipe"}, {"pipe.mp4", "device or pipe"}})
    expect_refused(run_program(quick_clip(name, model.with({})), {}, folder.path()), 4, {reason});
}

TEST(CliOutput, SeedsOf53BitsGoThroughEveryFile) {
  const TemporaryFolder folder;
  const std::string seed = "9007199254740991";
  expect_done(run_program(quick_clip("a-{seed}.mp4", {"--seed", seed, "--sidecar"}), {}, folder.path()));
  const auto name = "a-" + seed + ".mp4";
  const auto sidecar = nlohmann::json::parse(bytes_of(folder / (name + ".json")));
  EXPECT_EQ(sidecar.at("settings").at("seed"), std::stoll(seed));
  const auto info = run_program({"info", name, "--json"}, {}, folder.path());
  EXPECT_NE(info.out.find("\"seed\": " + seed), std::string::npos) << info.out;
  const auto again = run_program({"generate", "--config", name + ".json", "-o", "b.mp4"}, {}, folder.path());
  expect_done(again);
  EXPECT_NE(again.err.find("seed " + seed), std::string::npos) << again.err;
  EXPECT_TRUE(bytes_of(folder / "b.mp4") == bytes_of(folder / name));
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
