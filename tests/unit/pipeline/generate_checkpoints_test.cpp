// Runs of many clips that go on from checkpoints.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "bytes.h"
#include "errors.h"
#include "generate_support.h"
#include "paths.h"
#include "pipeline/run/checkpoint.h"
#include "t2v/generate.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

using test::bytes_of;
using test::files_of;
using test::Outcomes;
using test::plan_all;
using test::small_request;
using test::StoppingAfter;

TEST(GenerateAll, GoesOnFromCheckpointsToTheSameBytes) {
  const test::TemporaryFolder folder;
  std::vector<GenerationRequest> requests;
  for (const char* scheduler : {"unipc", "ddpm", "ddim", "dpm++", "dpm++-sde", "cogvideox-dpm", "euler"})
    for (const int64_t frames : {5, 9}) {
      auto request = small_request(folder / (std::string(scheduler) + std::to_string(frames) + ".mp4"),
                                   frames);
      request.scheduler = scheduler;
      request.steps = 8;
      request.frames = frames;
      requests.push_back(request);
    }
  const auto whole = files_of(requests, {});
  const auto plans = plan_all(requests);
  for (const auto& plan : plans) fs::remove(plan.clips[0].output);
  const BatchLimits limits{
      .token_budget = 100'000, .memory_limit = {}, .checkpoint_every = 2, .checkpoint_folder = ""};
  StoppingAfter stopping(32);
  Outcomes none;
  test::expect_error(ErrorKind::interrupted, {"stopped"},
                     [&] { generate_all(plans, limits, stopping, none.collect()); });
  std::size_t checkpoints = 0;
  for (const auto& plan : plans) checkpoints += fs::exists(checkpoint_path(plan.clips[0], ""));
  EXPECT_GT(checkpoints, 0U);
  struct Notes : Observer {
    void note(const std::string& line) override {
      resumed += line.find("goes on after step") != std::string::npos;
    }
    std::size_t resumed = 0;
  } observer;
  Outcomes outcomes;
  generate_all(plans, limits, observer, outcomes.collect());
  EXPECT_EQ(observer.resumed, checkpoints);
  for (const auto& [name, bytes] : whole) EXPECT_TRUE(bytes_of(folder / name) == bytes) << name;
  for (const auto& plan : plans) EXPECT_FALSE(fs::exists(checkpoint_path(plan.clips[0], "")));
}

TEST(GenerateAll, RefusesACheckpointOfOtherSettings) {
  const test::TemporaryFolder folder;
  auto request = small_request(folder / "a.mp4", 1);
  request.steps = 6;
  const BatchLimits limits{.token_budget = {},
                           .memory_limit = {},
                           .checkpoint_every = 1,
                           .checkpoint_folder = folder.path().string()};
  StoppingAfter stopping(3);
  Outcomes none;
  test::expect_error(ErrorKind::interrupted, {},
                     [&] { generate_all(plan_all({request}), limits, stopping, none.collect()); });
  request.seed = 2;
  request.guidance_scale = 3;
  request.crf = 30;  // has no influence on the latents
  const auto plans = plan_all({request});
  ASSERT_TRUE(fs::exists(checkpoint_path(plans[0].clips[0], folder.path().string())));
  Observer observer;
  Outcomes outcomes;
  generate_all(plans, limits, observer, outcomes.collect());
  ASSERT_TRUE(outcomes.of.at({0, 0}).error);
  EXPECT_EQ(outcomes.of.at({0, 0}).error->kind(), ErrorKind::usage);
  const std::string message = outcomes.of.at({0, 0}).error->what();
  for (const char* part : {"seed 1 there, 2 now", "guidance_scale", "3.0 now", "delete the checkpoint"})
    EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_EQ(message.find("crf"), std::string::npos) << message;
  auto restarting = limits;
  restarting.restart_changed = true;
  Outcomes again;
  generate_all(plans, restarting, observer, again.collect());
  ASSERT_TRUE(again.of.at({0, 0}).result);
  EXPECT_FALSE(fs::exists(checkpoint_path(plans[0].clips[0], folder.path().string())));
  const auto anew = bytes_of(folder / "a.mp4");
  EXPECT_TRUE(anew == files_of({request}, {}).at("a.mp4"));
}

}  // namespace
}  // namespace t2v
