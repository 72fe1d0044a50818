// A user without rights to a file or folder hears its path and gets the exit code of what it is: a prompts
// file 2, a model 3, an output 4.
#include <sys/stat.h>

#include "batch_support.h"
#include "starts.h"

namespace t2v::test {

namespace {

namespace fs = std::filesystem;

// Takes all rights to a file or folder away, until the test ends.
class Closed {
 public:
  explicit Closed(fs::path path, mode_t rights = 0) : path_(std::move(path)) {
    struct stat status {};
    EXPECT_EQ(::stat(path_.c_str(), &status), 0) << path_;
    before_ = status.st_mode;
    EXPECT_EQ(::chmod(path_.c_str(), rights), 0) << path_;
  }
  ~Closed() { ::chmod(path_.c_str(), before_); }
  Closed(const Closed&) = delete;
  Closed& operator=(const Closed&) = delete;

 private:
  fs::path path_;
  mode_t before_ = 0;
};

// The shipped model with files of its own, which may be closed.
class CliPermissions : public testing::Test {
 protected:
  CliPermissions() {
    fs::copy(shipped_model(), folder_ / "model", fs::copy_options::recursive);
    fs::create_directory(folder_ / "out");
    fs::create_directory(folder_ / "closed");
  }
  ProgramResult run(const Arguments& arguments, const Environment& extra = {}) const {
    return run_program(arguments, extra, folder_.path(), without_privileges());
  }
  ProgramResult generate(const Arguments& more = {}, const std::string& output = "out/clip.mp4") const {
    Arguments all = {"--model", (folder_ / "model").string(), "--frames", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return run(quick_clip(output, all));
  }
  void expect_nothing_made() const { EXPECT_TRUE(names_in(folder_ / "out").empty()); }

  TemporaryFolder folder_;
};

}  // namespace

TEST_F(CliPermissions, WithoutPrivilegesThereIsNoWayIn) {
  write_bytes(folder_ / "file", "x");
  const Closed file(folder_ / "file");
  const auto start = without_privileges();
  const auto result = run_program({}, {}, folder_.path(),
                                  {.wrapper = {"sh", "-c", "cat file"}, .prepare = start.prepare});
  EXPECT_NE(result.code, 0) << "what follows would test nothing: " << result.out;
}

TEST_F(CliPermissions, AModelWithAllRightsIsUsed) {
  fs::create_directory(folder_ / "model/lost+found");
  write_bytes(folder_ / "model/notes.json", "{}");
  const Closed unused(folder_ / "model/lost+found"), notes(folder_ / "model/notes.json");
  expect_done(generate());
}

TEST_F(CliPermissions, AnUnreadableModelEndsWithThree) {
  const TemporaryFolder made;
  const auto latents = (made / "l.safetensors").string();
  expect_done(run_program(quick_clip(made / "clip.mp4", {"--frames", "1", "--save-latents", latents})));
  for (const mode_t rights : {0, 0444}) {
    const Closed model(folder_ / "model", rights);
    expect_refused(generate(), 3, {(folder_ / "model").string(), "Permission denied"});
    expect_refused(run({"info", (folder_ / "model").string()}), 3, {"Permission denied"});
    expect_refused(run({"decode", latents, "-m", (folder_ / "model").string(), "-o", "a.mp4"}), 3,
                   {"model", "Permission denied"});
  }
  expect_nothing_made();
}

TEST_F(CliPermissions, AnUnreadableComponentEndsWithThree) {
  for (const std::string component : {"tokenizer", "text_encoder", "transformer", "vae", "scheduler"}) {
    const Closed closed(folder_ / "model" / component);
    expect_refused(generate(), 3, {(folder_ / "model" / component).string(), "Permission denied"});
  }
  expect_nothing_made();
}

TEST_F(CliPermissions, EveryUnreadableFileOfAModelEndsWithThreeBeforeWeightsLoad) {
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "model")) {
    if (!entry.is_regular_file() || entry.path().filename() == "README.md") continue;
    const Closed closed(entry.path());
    const auto result = generate({"--progress", "plain"});
    expect_refused(result, 3, {entry.path().string(), "Permission denied"});
    EXPECT_EQ(result.err.find("load 0/"), std::string::npos) << result.err;
  }
  expect_nothing_made();
}

TEST_F(CliPermissions, AnUnreadableFolderOfModelsEndsWithThree) {
  const Closed closed(folder_ / "closed");
  expect_refused(run({"generate", "-p", "a", "-o", "out/clip.mp4", "-m", "world-128"},
                     {{"T2V_MODELS", (folder_ / "closed").string()}}),
                 3, {(folder_ / "closed").string(), "Permission denied"});
}

TEST_F(CliPermissions, AnOutputFolderWithoutRightsEndsWithFour) {
  for (const mode_t rights : {0, 0444, 0555}) {
    const Closed closed(folder_ / "closed", rights);
    for (const std::string output : {"closed/clip.mp4", "closed/%05d.png", "closed/below/clip.mp4"})
      expect_refused(generate({}, output), 4, {"closed"});
    expect_refused(generate({"--save-latents", "closed/l.safetensors"}), 4, {"closed"});
    expect_refused(generate({"--trace", "closed"}), 4, {"closed"});
    expect_refused(generate({"--trace", "closed/trace"}), 4, {"closed"});
    expect_refused(generate({"--trace", "closed/trace/of/clip"}), 4, {"closed"});
  }
  expect_nothing_made();
}

TEST_F(CliPermissions, AFolderThatMayBeWrittenButNotReadTakesClips) {
  const Closed closed(folder_ / "out", 0300);
  expect_done(generate({"--trace", "out/trace", "--sidecar"}));
}

TEST_F(CliPermissions, AWorkingDirectoryThatMayNotBeEnteredHidesNoModel) {
  const Closed closed(folder_ / "closed");
  expect_done(run_program({"info", "world-128"}, {}, folder_ / "closed", without_privileges()));
}

TEST_F(CliPermissions, UnreadableInputsAreNamed) {
  write_bytes(folder_ / "closed/prompts.txt", "a red circle\n");
  write_bytes(folder_ / "closed/config.json", "{}");
  write_bytes(folder_ / "closed/l.safetensors", "");
  const auto inputs_refused = [&] {
    expect_refused(run(batch("closed/prompts.txt", "out")), 2, {"closed/prompts.txt", "Permission denied"});
    expect_refused(generate({"--config", "closed/config.json"}), 2,
                   {"closed/config.json", "Permission denied"});
    expect_refused(generate({"--init-latents", "closed/l.safetensors"}), 3,
                   {"closed/l.safetensors", "Permission denied"});
    expect_refused(run({"decode", "closed/l.safetensors", "-o", "out/a.mp4"}), 3,
                   {"closed/l.safetensors", "Permission denied"});
    expect_refused(run({"info", "closed/l.safetensors"}), 3, {"closed/l.safetensors", "Permission denied"});
    expect_refused(run({"info", "closed/prompts.txt"}), 3, {"closed/prompts.txt", "Permission denied"});
    expect_refused(run({"encode", "closed/prompts.txt", "-o", "out/l.safetensors"}), 3,
                   {"closed/prompts.txt", "Permission denied"});
    expect_refused(run({"encode", "closed/%d.png", "-o", "out/l.safetensors"}), 3, {"closed/%d.png"});
  };
  {
    const Closed closed(folder_ / "closed");
    inputs_refused();
  }
  const Closed prompts(folder_ / "closed/prompts.txt"), config(folder_ / "closed/config.json"),
      latents(folder_ / "closed/l.safetensors");
  inputs_refused();
  expect_nothing_made();
}

TEST_F(CliPermissions, ABatchFolderWithoutRightsEndsWithFour) {
  write_bytes(folder_ / "prompts.txt", "a red circle\n");
  const Closed closed(folder_ / "closed");
  expect_refused(run(batch("prompts.txt", "closed")), 4, {"closed", "Permission denied"});
}

}  // namespace t2v::test
