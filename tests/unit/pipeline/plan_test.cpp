// plan_generation and the components' configs.
#include <gtest/gtest.h>

#include <fstream>

#include "errors.h"
#include "paths.h"
#include "pipeline/components.h"
#include "t2v/generate.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

class Plan : public testing::Test {
 protected:
  // The least that a plan needs, writing into a folder of its own.
  GenerationRequest request() const {
    GenerationRequest r;
    r.model = test::shipped_model().string();
    r.prompt = "a red circle";
    r.seed = 1;
    r.output = (folder / "clip.mp4").string();
    r.device = "cpu";
    return r;
  }
  void refuses(const GenerationRequest& r, const std::vector<std::string>& parts,
               ErrorKind kind = ErrorKind::usage) const {
    test::expect_error(kind, parts, [&] { plan_generation(r); });
  }
  test::TemporaryFolder folder;
};

TEST_F(Plan, RandomSeedsHave53Bits) {
  auto asked = request();
  asked.seed.reset();
  int64_t largest = 0;
  for (int i = 0; i < 16; ++i) {
    const auto seed = plan_generation(asked).clips.at(0).seed;
    EXPECT_GE(seed, 0);
    EXPECT_LT(seed, int64_t{1} << 53);
    largest = std::max(largest, seed);
  }
  EXPECT_GT(largest, int64_t{1} << 45);  // all below: once in 2^128 runs
}

TEST_F(Plan, TakesDefaultsFromTheModel) {
  const auto plan = plan_generation(request());
  EXPECT_EQ(plan.width, 128);
  EXPECT_EQ(plan.height, 128);
  EXPECT_EQ(plan.frames, 17);
  EXPECT_EQ(plan.fps, 8);
  EXPECT_EQ(plan.steps, 20);
  EXPECT_EQ(plan.guidance_scale, 4);
  EXPECT_EQ(plan.guidance_rescale, 0.7);
  EXPECT_EQ(plan.scheduler, "ddpm");
  EXPECT_EQ(plan.dtype, "float32");
  EXPECT_EQ(plan.latent_shape, (std::vector<int64_t>{1, 8, 5, 8, 8}));
  EXPECT_EQ(plan.tokens, 5 * 4 * 4);
  EXPECT_EQ(plan.branches, 2);
  EXPECT_GT(plan.weight_bytes, 0);
  EXPECT_TRUE(plan.notes.empty());
  ASSERT_EQ(plan.clips.size(), 1U);
  EXPECT_EQ(plan.clips[0].seed, 1);
  EXPECT_EQ(Json::parse(plan_to_json(plan)).at("frames"), 17);
}

TEST_F(Plan, TakesDefaultsFromTheFamilyWithoutT2vJson) {
  auto r = request();
  r.model = test::golden("wan-tiny").string();
  const auto plan = plan_generation(r);
  EXPECT_EQ(plan.width, 832);
  EXPECT_EQ(plan.height, 480);
  EXPECT_EQ(plan.frames, 81);
  EXPECT_EQ(plan.scheduler, "unipc");
  EXPECT_EQ(plan.max_text_tokens, 512);
  EXPECT_EQ(plan.flow_shift, 3.0);
}

TEST_F(Plan, NotesWhatItRounds) {
  auto r = request();
  r.size = "70x50";
  r.seconds = 1;
  const auto plan = plan_generation(r);
  EXPECT_EQ(plan.width, 64);
  EXPECT_EQ(plan.height, 32);
  EXPECT_EQ(plan.frames, 9);
  ASSERT_EQ(plan.notes.size(), 2U);
  EXPECT_NE(plan.notes[0].find("70x50 became 64x32"), std::string::npos);
  EXPECT_NE(plan.notes[1].find("8 frames became 9"), std::string::npos);
}

TEST_F(Plan, FindsTheTrainedSizeOfAnAspect) {
  auto r = request();
  for (const auto& [aspect, width, height] : std::vector<std::tuple<std::string, int64_t, int64_t>>{
           {"16:9", 160, 96}, {"9:16", 96, 160}, {"1:1", 128, 128}}) {
    r.aspect = aspect;
    const auto plan = plan_generation(r);
    EXPECT_EQ(plan.width, width) << aspect;
    EXPECT_EQ(plan.height, height) << aspect;
  }
}

TEST_F(Plan, CountsSeedsAndNamesUp) {
  auto r = request();
  r.count = 3;
  r.seed = 40;
  r.output = (folder / "{index:02}-{seed}.mp4").string();
  const auto plan = plan_generation(r);
  ASSERT_EQ(plan.clips.size(), 3U);
  EXPECT_EQ(plan.clips[2].seed, 42);
  EXPECT_EQ(plan.clips[2].output, (folder / "02-42.mp4").string());
  for (const char* name : {"clip.mp4", "{{index}}.mp4", "{prompt}.mp4"}) {
    r.output = (folder / name).string();
    refuses(r, {"--output", "3 times", "{index}"});
  }
}

TEST_F(Plan, RefusesBadRequestsBeforeAnyWeightIsRead) {
  const std::vector<std::pair<std::function<void(GenerationRequest&)>, std::vector<std::string>>> cases = {
      {[](auto& r) { r.prompt = std::nullopt; }, {"prompt"}},
      {[](auto& r) { r.prompt = "a\xff"; }, {"--prompt", "invalid UTF-8", "byte 1"}},
      {[](auto& r) { r.negative_prompt = std::string("a\0b", 3); }, {"--negative-prompt", "NUL", "byte 1"}},
      {[](auto& r) { r.size = "64"; }, {"--size"}},
      {[](auto& r) { r.size = "64x64", r.aspect = "1:1"; }, {"--size", "--aspect"}},
      {[](auto& r) { r.width = 64, r.height = 64, r.aspect = "1:1"; }, {"--aspect"}},
      {[](auto& r) { r.width = -1; }, {"--width"}},
      {[](auto& r) { r.height = 0; }, {"--height"}},
      {[](auto& r) { r.frames = 9, r.seconds = 1; }, {"--seconds", "--frames"}},
      {[](auto& r) { r.frames = 0; }, {"--frames"}},
      {[](auto& r) { r.frames = 1'000'001; }, {"--frames"}},
      {[](auto& r) { r.frames = 2001, r.window = 2001; }, {"501 patches", "256"}},
      {[](auto& r) { r.fps = 0; }, {"--fps"}},
      {[](auto& r) { r.steps = 0; }, {"steps"}},
      {[](auto& r) { r.steps = 1001; }, {"steps"}},
      {[](auto& r) { r.guidance_scale = -1; }, {"--guidance-scale"}},
      {[](auto& r) { r.guidance_rescale = 1.1; }, {"--guidance-rescale"}},
      {[](auto& r) { r.scheduler = "ddjm"; }, {"ddjm", "dd"}},
      {[](auto& r) { r.flow_shift = 3; }, {"--flow-shift"}},
      {[](auto& r) { r.crf = 52; }, {"--crf"}},
      {[](auto& r) { r.seed = -1; }, {"--seed"}},
      {[](auto& r) { r.count = 0; }, {"--count"}},
      {[](auto& r) { r.threads = 0; }, {"--threads"}},
      {[](auto& r) { r.resize = "big"; }, {"--resize"}},
      {[](auto& r) { r.resize_filter = "bicubic"; }, {"--resize-filter"}},
      {[](auto& r) { r.output = "clip.xyz"; }, {"xyz"}},
      {[](auto& r) { r.output = "{name}.mp4"; }, {"{name}"}},
      {[](auto& r) { r.device = "tpu"; }, {"--device", "'tpu'"}},
      {[](auto& r) { r.device = "cuda:x"; }, {"--device"}},
      {[](auto& r) { r.dtype = "int8"; }, {"--dtype", "'int8'"}},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    auto r = request();
    cases[i].first(r);
    refuses(r, cases[i].second);
  }
}

TEST_F(Plan, NamesAModelThatIsNotThere) {
  auto r = request();
  r.model = "world-65";
  refuses(r, {"'world-65'"}, ErrorKind::bad_input);
  r.model = (folder / "absent").string();
  refuses(r, {(folder / "absent").string()}, ErrorKind::bad_input);
}

// The working directory is another one while it lives.
class WorkingDirectory {
 public:
  explicit WorkingDirectory(const fs::path& folder) { fs::current_path(folder); }
  ~WorkingDirectory() { fs::current_path(before_); }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;

 private:
  fs::path before_ = fs::current_path();
};

TEST_F(Plan, AFolderThatIsNoModelDoesNotHideAShippedOneOfItsName) {
  const WorkingDirectory here(folder.path());
  fs::create_directory("world-128");
  auto r = request();
  r.model = "world-128";
  const auto plan = plan_generation(r);
  EXPECT_EQ(fs::canonical(plan.model_folder), fs::canonical(test::shipped_model()));
  ASSERT_EQ(plan.notes.size(), 1U);
  EXPECT_NE(plan.notes[0].find("the folder world-128 in the working directory has no model_index.json"),
            std::string::npos)
      << plan.notes[0];
  fs::remove("world-128");
  fs::create_directory_symlink(test::golden("wan-tiny"), "world-128");
  EXPECT_EQ(find_model("world-128"), "world-128");
  fs::create_directory("mine");
  EXPECT_EQ(find_model("mine"), "mine");  // whose message says what it lacks
}

TEST_F(Plan, NamesAPlaceOfWhichNothingCanBeTold) {
  fs::create_symlink("loop", folder / "loop");
  auto r = request();
  r.model = (folder / "loop").string();
  refuses(r, {(folder / "loop").string(), "symbolic links"}, ErrorKind::bad_input);
  r = request();
  r.trace = (folder / "loop" / "trace").string();
  refuses(r, {(folder / "loop").string(), "symbolic links"}, ErrorKind::output);
}

TEST_F(Plan, NamesAnOutputFolderThatIsNotThere) {
  auto r = request();
  r.output = (folder / "absent" / "clip.mp4").string();
  refuses(r, {(folder / "absent").string()}, ErrorKind::output);
  r = request();
  std::ofstream(folder / "file") << "x";
  r.trace = (folder / "file").string();
  refuses(r, {(folder / "file").string(), "--trace"}, ErrorKind::output);
}

TEST_F(Plan, NamesTheComponentWhoseConfigContradictsAnother) {
  struct Case {
    const char* file;
    Json change;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases = {
      {"transformer/config.json",
       {{"text_dim", 57}},
       {"transformer/config.json", "text_dim 57", "d_model 56"}},
      {"transformer/config.json",
       {{"in_channels", 8}, {"out_channels", 8}},
       {"transformer/config.json", "in_channels 8", "z_dim 16"}},
      {"transformer/config.json", {{"patch_size", {2, 2, 2}}}, {"transformer/config.json", "patch"}},
      {"transformer/config.json", {{"patch_size", {1, 2, 1}}}, {"transformer/config.json", "patch_size"}},
      {"text_encoder/config.json", {{"vocab_size", 100}}, {"tokenizer", "vocab_size"}},
      {"model_index.json",
       {{"_class_name", "LTXPipeline"}},
       {"model_index.json", "LTXPipeline", "WanPipeline"}},
      {"model_index.json",
       {{"boundary_ratio", 0.9}},
       {"model_index.json", "'boundary_ratio'", "'transformer_2'"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.change.dump());
    const test::TemporaryFolder model;
    fs::copy(test::golden("wan-tiny"), model / "m", fs::copy_options::recursive);
    auto config = read_json(model / "m" / c.file);
    config.update(c.change);
    std::ofstream(model / "m" / c.file) << config;
    auto r = request();
    r.model = (model / "m").string();
    refuses(r, c.parts, ErrorKind::bad_input);
  }
}

TEST(ParseDtype, ChoosesByTheDevice) {
  EXPECT_EQ(parse_dtype("auto", at::kCPU), at::kFloat);
  EXPECT_EQ(parse_dtype("auto", at::Device(at::kCUDA, 0)), at::kBFloat16);
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf})
    EXPECT_EQ(parse_dtype(dtype_name(type), at::kCPU), type);
}

// Otherwise the windows of a long clip would be made by RePaint.
TEST_F(Plan, AModelWithALevelPerFrameIsToldThatKnownTokensAreClean) {
  GenerationRequest request;
  request.prompt = "a red circle";
  request.to_receiver = true;
  request.model = test::shipped_model().string();
  EXPECT_TRUE(plan_generation(request).levels_per_token);
  request.model = test::golden("wan-tiny").string();
  EXPECT_FALSE(plan_generation(request).levels_per_token);
}

}  // namespace
}  // namespace t2v
