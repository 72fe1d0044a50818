// Runs of many clips on the shipped model: a clip's bytes and its fate are its own.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <set>

#include "bytes.h"
#include "errors.h"
#include "generate_support.h"
#include "paths.h"
#include "pipeline/components.h"
#include "pipeline/frames.h"
#include "pipeline/run/checkpoint.h"
#include "t2v/generate.h"
#include "video/read/decoder.h"
#include "weights/safetensors.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

using test::bytes_of;
using test::files_of;
using test::Outcomes;
using test::plan_all;
using test::small_request;
using test::StoppingAfter;
using test::unlike_requests;

TEST(GenerateAll, MakesTheSameBytesAloneAndInAnyCompany) {
  const test::TemporaryFolder folder;
  auto requests = unlike_requests(folder.path());
  std::map<std::string, std::string> alone;
  for (const auto& request : requests) alone.merge(files_of({request}, {}));
  ASSERT_EQ(alone.size(), requests.size());
  const auto expect_same = [&](const std::map<std::string, std::string>& files) {
    for (const auto& [name, bytes] : files) EXPECT_TRUE(bytes == alone.at(name)) << name;
  };
  expect_same(files_of(requests, {}));
  expect_same(files_of(requests, {.token_budget = 100'000}));
  expect_same(files_of(requests, {.token_budget = 1}));
  std::reverse(requests.begin(), requests.end());
  expect_same(files_of(requests, {.token_budget = 300}));
}

TEST(GenerateAll, MakesTheSameBytesWithOneThreadAndTwo) {
  const test::TemporaryFolder folder;
  std::map<std::string, std::string> by_threads[2];
  for (const int64_t threads : {1, 2}) {
    auto requests = unlike_requests(folder.path());
    auto large = small_request(folder / "large.mp4", 40);  // a step worth several threads
    large.size = "160x160";
    large.frames = 17;
    large.steps = 1;
    requests.push_back(large);
    for (auto& request : requests) request.threads = threads;
    by_threads[threads - 1] = files_of(requests, {});
    auto alone = small_request(folder / "alone.mp4", 41);  // without company a small clip has all threads it
                                                           // is given
    alone.prompt = "a red ring";
    alone.threads = threads;
    by_threads[threads - 1].merge(files_of({alone}, {}));
  }
  for (const auto& [name, bytes] : by_threads[0]) EXPECT_TRUE(bytes == by_threads[1].at(name)) << name;
}

TEST(GenerateAll, GoesOnWhenAClipFails) {
  const test::TemporaryFolder folder;
  auto bad = small_request(folder / "bad.mp4", 2);
  save_safetensors(folder / "noise.safetensors", {{"latents", at::randn({1, 8, 2, 8, 8})}});
  bad.init_latents = (folder / "noise.safetensors").string();
  const auto plans = plan_all({small_request(folder / "a.mp4", 1), bad, small_request(folder / "b.mp4", 3)});
  fs::remove(folder / "noise.safetensors");
  Observer observer;
  Outcomes outcomes;
  generate_all(plans, {.token_budget = 100'000}, observer, outcomes.collect());
  ASSERT_EQ(outcomes.of.size(), 3U);
  EXPECT_TRUE(outcomes.of.at({0, 0}).result);
  EXPECT_TRUE(outcomes.of.at({2, 0}).result);
  ASSERT_TRUE(outcomes.of.at({1, 0}).error);
  EXPECT_EQ(outcomes.of.at({1, 0}).error->kind(), ErrorKind::bad_input);
  EXPECT_FALSE(fs::exists(folder / "bad.mp4"));
}

TEST(Generate, MakesTheOtherClipsOfAPlanWhenOneFails) {
  const test::TemporaryFolder folder;
  auto request = small_request(folder / "{index}.png", 1);
  request.frames = 1;
  request.count = 4;
  const auto plan = plan_generation(request);
  for (const char* name : {"0.png", "2.png"}) fs::create_directory(folder / name);
  struct Notes : Observer {
    void note(const std::string& line) override { lines.push_back(line); }
    std::vector<std::string> lines;
  } observer;
  std::set<int64_t> made;
  test::expect_error(ErrorKind::output, {"2 of 4 clips failed; the first: ", ".png"}, [&] {
    generate(plan, observer, [&](const ClipResult& clip) { made.insert(clip.seed); });
  });
  EXPECT_EQ(made, (std::set<int64_t>{2, 4}));
  for (const char* name : {"1.png", "3.png"}) EXPECT_TRUE(fs::is_regular_file(folder / name)) << name;
  for (const char* name : {"0.png", "2.png"}) {
    EXPECT_EQ(std::count_if(observer.lines.begin(), observer.lines.end(),
                            [&](const std::string& line) {
                              return line.starts_with((folder / name).string() + " failed: ");
                            }),
              1)
        << name;
    EXPECT_TRUE(fs::exists((folder / name).string() + ".latents.safetensors")) << name;
  }
}

TEST(GenerateAll, GivesEveryClipOfAModelThatCannotBeLoadedItsError) {
  const test::TemporaryFolder folder;
  fs::copy(test::shipped_model(), folder / "model", fs::copy_options::recursive);
  auto broken = small_request(folder / "broken.mp4", 1);
  broken.model = (folder / "model").string();
  broken.output = (folder / "broken-{index}.mp4").string();
  broken.count = 2;
  const auto plans = plan_all({broken, small_request(folder / "fine.mp4", 2)});
  fs::resize_file(folder / "model" / "transformer" / "diffusion_pytorch_model.safetensors", 1000);
  Observer observer;
  Outcomes outcomes;
  generate_all(plans, {}, observer, outcomes.collect());
  ASSERT_EQ(outcomes.of.size(), 3U);
  EXPECT_EQ(outcomes.of.at({0, 0}).error->kind(), ErrorKind::bad_input);
  EXPECT_EQ(outcomes.of.at({0, 1}).error->kind(), ErrorKind::bad_input);
  EXPECT_TRUE(outcomes.of.at({1, 0}).result);
}

// A text encoder in which `token` alone overflows: its embedding is the largest float, to which attention
// adds more. All other tokens come out as zeros, since their norm's mean of squares is infinite.
void let_token_overflow(const fs::path& file, int64_t token) {
  const auto original = SafetensorsFile::open(file);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [name, entry] : original->entries()) {
    auto tensor = original->tensor(name).to(at::kFloat, false, true);
    if (name == "shared.weight") tensor[token].slice(0, 0, 2).fill_(std::numeric_limits<float>::max());
    if (name == "encoder.block.0.layer.0.SelfAttention.o.weight") {
      tensor[0].fill_(1e34);
      tensor[1].fill_(-1e34);  // whichever sign the values have, one of the two sums leaves the range
    }
    tensors.emplace_back(name, tensor);
  }
  save_safetensors(file, tensors, original->metadata());
}

TEST(GenerateAll, ClipsWithoutAnOutputGoToAReceiver) {
  const test::TemporaryFolder folder;
  auto short_clip = small_request(folder / "a.y4m", 3), long_clip = small_request(folder / "b.y4m", 4);
  long_clip.window = 9;
  long_clip.overlap = 5;
  long_clip.frames = 21;
  std::vector<GenerationPlan> files, received;
  for (auto request : {short_clip, long_clip}) {
    files.push_back(plan_generation(request));
    request.to_receiver = true;
    received.push_back(plan_generation(request));
    EXPECT_EQ(received.back().clips.front().output, "");
  }
  Observer observer;
  int64_t outcomes = 0;
  const auto count = [&](const ClipOutcome& outcome) { outcomes += outcome.result.has_value() ? 1 : 0; };
  generate_all(files, {}, observer, count);
  fs::create_directory(folder / "empty");
  std::vector<std::vector<at::Tensor>> parts(2);
  generate_all(received, {}, observer, count, [&](std::size_t plan, std::size_t, const FrameBlock& block) {
    int64_t frames = 0;
    for (const auto& part : parts[plan]) frames += part.size(1);
    EXPECT_EQ(block.first, frames);
    const std::array<int64_t, 4> shape = {3, block.frames, block.height, block.width};
    parts[plan].push_back(at::from_blob(const_cast<float*>(block.values), shape).clone());
  });
  EXPECT_EQ(outcomes, 4);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator{}), 3);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto reader = open_video(folder / (i == 0 ? "a.y4m" : "b.y4m"));
    std::vector<Frame> frames;
    while (auto frame = reader->read()) frames.push_back(std::move(*frame));
    const auto clip = at::cat(parts[i], 1);
    ASSERT_EQ(clip.size(1), static_cast<int64_t>(frames.size()));
    // y4m holds half of the colours.
    const auto grey = [](const at::Tensor& x) { return x.mean(0); };
    EXPECT_LT((grey(clip) - grey(from_frames(frames))).abs().mean().item<double>(), 0.03);
  }
  test::expect_error(ErrorKind::usage, {"needs a receiver"},
                     [&] { generate_all(received, {}, observer, count); });
}

TEST(GenerateAll, ATextWhoseEmbeddingIsNotFiniteFailsItsClipsOnly) {
  const test::TemporaryFolder folder;
  fs::copy(test::shipped_model(), folder / "model", fs::copy_options::recursive);
  const std::string good = "a red circle", bad = "a red circle on a navy background";
  const auto tokenizer = open_model(open_model_folder(folder / "model"))->load_tokenizer();
  const auto harmless = tokenizer->encode(good, 56).ids, harmful = tokenizer->encode(bad, 56).ids;
  const auto token = std::find_if(harmful.begin(), harmful.end(), [&](int64_t id) {
    return !std::count(harmless.begin(), harmless.end(), id);
  });
  ASSERT_NE(token, harmful.end());
  let_token_overflow(folder / "model" / "text_encoder" / "model.safetensors", *token);

  std::vector<GenerationRequest> requests;
  for (const auto& [prompt, negative] :
       {std::pair{good, std::string()}, {bad, ""}, {good, bad}, {good, good}}) {
    auto request = small_request(folder / (std::to_string(requests.size()) + ".mp4"), 1);
    request.model = (folder / "model").string();
    request.prompt = prompt;
    request.negative_prompt = negative;
    requests.push_back(request);
  }
  Observer observer;
  Outcomes outcomes;
  generate_all(plan_all(requests), {}, observer, outcomes.collect());
  ASSERT_EQ(outcomes.of.size(), 4U);
  for (const std::size_t i : {0U, 3U}) EXPECT_TRUE(outcomes.of.at({i, 0}).result) << i;
  for (const std::size_t i : {1U, 2U}) {
    ASSERT_TRUE(outcomes.of.at({i, 0}).error) << i;
    EXPECT_EQ(outcomes.of.at({i, 0}).error->kind(), ErrorKind::non_finite);
    EXPECT_NE(std::string(outcomes.of.at({i, 0}).error->what()).find("embedding holds NaN or infinity"),
              std::string::npos);
    EXPECT_FALSE(fs::exists(*requests[i].output));
  }
}

// Stops the run at the nth check.
struct Stopping : Observer {
  explicit Stopping(int n) : left(n) {}
  void check_cancelled() override {
    if (left-- == 0) throw Error(ErrorKind::interrupted, "stopped");
  }
  int left;
};

TEST(GenerateAll, StopsWhenToldAndLeavesNothingHalfWritten) {
  const test::TemporaryFolder folder;
  std::vector<GenerationRequest> requests;
  for (int64_t i = 0; i < 6; ++i) requests.push_back(small_request(folder / (std::to_string(i) + ".mp4"), i));
  const auto plans = plan_all(requests);
  for (const int checks : {0, 9, 16, 20, 24}) {
    Stopping observer(checks);
    Outcomes outcomes;
    test::expect_error(ErrorKind::interrupted, {"stopped"},
                       [&] { generate_all(plans, {}, observer, outcomes.collect()); });
    std::size_t files = 0;
    for (const auto& entry : fs::directory_iterator(folder.path()))
      files += entry.path().extension() == ".mp4" && entry.path().filename().string()[0] != '.';
    EXPECT_EQ(files, outcomes.of.size());
    for (const auto& [index, outcome] : outcomes.of) fs::remove(outcome.result->output);
    EXPECT_TRUE(fs::is_empty(folder.path()));
  }
}

TEST(GenerateAll, EndsWithWhatTheReceiverThrows) {
  const test::TemporaryFolder folder;
  Observer observer;
  const auto plans = plan_all({small_request(folder / "a.mp4", 1), small_request(folder / "b.mp4", 2)});
  test::expect_error(ErrorKind::output, {"no more"}, [&] {
    generate_all(plans, {}, observer, [](const ClipOutcome&) { throw Error(ErrorKind::output, "no more"); });
  });
}

TEST(GenerateAll, HoldsToAMemoryLimitAndRefusesOnlyWhatCannotFit) {
  const test::TemporaryFolder folder;
  auto large = small_request(folder / "large.mp4", 1);
  large.size = "1024x1024";
  const auto plans = plan_all({large, small_request(folder / "small.mp4", 2)});
  Observer observer;
  Outcomes outcomes;
  generate_all(plans, {.token_budget = {}, .memory_limit = int64_t{300} << 20}, observer, outcomes.collect());
  ASSERT_TRUE(outcomes.of.at({0, 0}).error);
  EXPECT_EQ(outcomes.of.at({0, 0}).error->kind(), ErrorKind::out_of_memory);
  EXPECT_TRUE(outcomes.of.at({1, 0}).result);
}

}  // namespace
}  // namespace t2v
