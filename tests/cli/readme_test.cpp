// Every command in README's code blocks, as they stand there, one after the other in a folder of their own. A
// line after
// "# not tested: WHY" is left out.
#include "expect.h"

namespace t2v::test {

namespace {

struct ReadmeScript {
  std::string commands;
  std::vector<std::string> left_out;  // why
};

ReadmeScript commands_of(const std::string& readme) {
  ReadmeScript script;
  bool in_block = false, leave_out = false;
  for (const auto& line : lines_of(readme)) {
    if (line.starts_with("```")) {
      in_block = !in_block;
      EXPECT_EQ(line, in_block ? "```sh" : "```") << "a code block is of commands";
      continue;
    }
    if (!in_block) {
      EXPECT_FALSE(line.starts_with("    ")) << "a code block begins with ```sh: " << line;
      continue;
    }
    const std::string mark = "# not tested: ";
    if (line.starts_with(mark)) script.left_out.push_back(line.substr(mark.size()));
    if (!leave_out) script.commands += line + "\n";
    leave_out = line.starts_with(mark);
  }
  EXPECT_FALSE(in_block);
  return script;
}

}  // namespace

TEST(Readme, EveryCommandDoesWhatItSays) {
  if (std::system("command -v ffmpeg >/dev/null") != 0) GTEST_SKIP() << "ffmpeg is not installed";
  const auto script = commands_of(bytes_of(source_dir() / "README.md"));
  EXPECT_LE(script.left_out.size(), 4U);
  const TemporaryFolder folder;
  // The folder looks like a source tree in which t2v is built, and like a shell in which it is installed.
  const auto build = folder / "build/release";
  std::filesystem::create_directories(build);
  std::filesystem::create_symlink(binary(), build / "t2v");
  std::filesystem::create_symlink(source_dir() / "configs", folder / "configs");
  write_bytes(folder / "commands.sh",
              "set -eu -o pipefail\ntrap 'echo \"this failed: $BASH_COMMAND\" >&2' ERR\n"
              "export PATH='" +
                  build.string() + "':$PATH T2V_MODELS='" + (source_dir() / "models").string() + "'\n" +
                  script.commands);
  const auto command = "cd '" + folder.path().string() +
                       "' && bash commands.sh >out.txt 2>err.txt </dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0) << bytes_of(folder / "err.txt");
  for (const char* made :
       {"clip.mp4", "star.mp4", "ring/00000.png", "cross.webm", "star.safetensors", "again.mp4",
        "out/0000-a-red-circle-bouncing-on-a-navy-background.mp4", "out/report.html"})
    EXPECT_TRUE(std::filesystem::exists(folder / made)) << made;
}

TEST(Readme, ShowsWhatItLooksLikeWithinOneScreen) {
  const auto lines = lines_of(bytes_of(source_dir() / "README.md"));
  std::size_t picture = 0;
  while (picture < lines.size() && !lines[picture].starts_with("<img src=\"")) ++picture;
  ASSERT_LT(picture, 20U);
  const auto begin = lines[picture].find('"') + 1;
  const auto file = source_dir() / lines[picture].substr(begin, lines[picture].find('"', begin) - begin);
  EXPECT_TRUE(std::filesystem::exists(file)) << file;
}

}  // namespace t2v::test
