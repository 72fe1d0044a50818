// Small clips of the shipped model, and what becomes of them.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bytes.h"
#include "errors.h"
#include "paths.h"
#include "pipeline/components.h"
#include "t2v/generate.h"

namespace t2v::test {

inline GenerationRequest small_request(const std::filesystem::path& output, int64_t seed) {
  GenerationRequest request;
  request.model = shipped_model().string();
  request.prompt = "a red circle bouncing on a navy background";
  request.output = output.string();
  request.seed = seed;
  request.steps = 3;
  request.frames = 5;
  request.device = "cpu";
  return request;
}

// Requests that differ in all that may differ within one forward pass, and in what may not.
inline std::vector<GenerationRequest> unlike_requests(const std::filesystem::path& folder) {
  std::vector<GenerationRequest> requests;
  const auto add = [&](const std::string& name, const auto& change) {
    auto request = small_request(folder / name, static_cast<int64_t>(requests.size()) + 1);
    change(request);
    requests.push_back(request);
  };
  add("plain.mp4", [](auto&) {});
  add("wide.mp4", [](auto& r) { r.size = "96x32"; });
  add("long.mp4", [](auto& r) { r.frames = 13; });
  add("unguided.mp4", [](auto& r) { r.guidance_scale = 1; });
  add("strong.mp4", [](auto& r) { r.guidance_scale = 9; });
  add("other.mp4", [](auto& r) { r.prompt = "two green squares moving left", r.negative_prompt = "red"; });
  add("image.png", [](auto& r) { r.frames = 1; });
  add("tiny.y4m", [](auto& r) { r.size = "16x16", r.frames = 1; });
  add("tiny2.y4m", [](auto& r) { r.size = "16x32", r.frames = 5, r.guidance_scale = 1; });
  add("ancestral.mp4", [](auto& r) { r.scheduler = "ddpm"; });
  add("ancestral2.mp4", [](auto& r) { r.scheduler = "ddpm", r.frames = 9; });
  add("longer.mp4", [](auto& r) { r.steps = 5; });
  return requests;
}

struct Outcomes {
  std::map<std::pair<std::size_t, std::size_t>, ClipOutcome> of;
  std::function<void(const ClipOutcome&)> collect() {
    return [this](const ClipOutcome& outcome) {
      EXPECT_NE(outcome.result.has_value(), outcome.error.has_value());
      EXPECT_TRUE(of.emplace(std::pair{outcome.plan, outcome.clip}, outcome).second);
    };
  }
};

inline std::vector<GenerationPlan> plan_all(const std::vector<GenerationRequest>& requests) {
  Planner planner;
  std::vector<GenerationPlan> plans;
  for (const auto& request : requests) plans.push_back(planner.plan(request));
  return plans;
}

inline std::map<std::string, std::string> files_of(const std::vector<GenerationRequest>& requests,
                                                   const BatchLimits& limits) {
  Observer observer;
  Outcomes outcomes;
  const auto plans = plan_all(requests);
  generate_all(plans, limits, observer, outcomes.collect());
  std::map<std::string, std::string> files;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto& outcome = outcomes.of.at({i, 0});
    EXPECT_TRUE(outcome.result) << (outcome.error ? outcome.error->what() : "");
    files[std::filesystem::path(plans[i].clips[0].output).filename()] = bytes_of(plans[i].clips[0].output);
  }
  return files;
}

// Stops it after that many steps of denoising.
struct StoppingAfter : Observer {
  explicit StoppingAfter(int64_t n) : steps(n) {}
  void progress(const Progress& progress) override {
    if (progress.stage == "denoise") done = progress.done;
  }
  void check_cancelled() override {
    if (done >= steps) throw Error(ErrorKind::interrupted, "stopped");
  }
  int64_t steps, done = 0;
};

}  // namespace t2v::test
