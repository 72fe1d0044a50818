// The whole chain for many clips: text, noise, denoising, decoding, file.
#include "t2v/generate.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "pipeline/components.h"
#include "pipeline/plan/windows.h"
#include "pipeline/run/model_run.h"
#include "pipeline/run/thread_count.h"

namespace t2v {

namespace {

int64_t total_steps(const std::vector<GenerationPlan>& plans) {
  int64_t steps = 0;
  for (const auto& plan : plans)
    steps += (plan.steps - plan.first_step) * windows_in_turn(plan) * static_cast<int64_t>(plan.clips.size());
  return steps;
}

}  // namespace

PreparationTimes generate_all(const std::vector<GenerationPlan>& plans, const BatchLimits& limits,
                              Observer& observer, const std::function<void(const ClipOutcome&)>& finished,
                              const FrameReceiver& frames) {
  const at::NoGradGuard no_grad;
  Reporter reporter(observer, finished, total_steps(plans));
  std::map<std::string, std::size_t> place;
  std::vector<std::vector<ClipTask>> groups;  // in the order in which their first plans come
  for (std::size_t p = 0; p < plans.size(); ++p) {
    const auto& plan = plans[p];
    for (const auto& note : plan.notes) reporter.note(note);
    for (const auto& clip : plan.clips)
      if (clip.output.empty() && !frames)
        throw Error(ErrorKind::usage, "a clip without an output needs a receiver of its frames");
    const auto key = files_key(plan) + "\n" + plan.device + " " + plan.dtype + " " +
                     plan.settings.offload.value_or("auto") + " " + plan.settings.vae_dtype.value_or("auto") +
                     " " + plan.settings.vae_tiling.value_or("auto") + " " +
                     std::to_string(plan.settings.threads.value_or(0)) + " " +
                     std::to_string(plan.memory_limit.value_or(0)) + " " +
                     std::to_string(plan.settings.token_budget.value_or(0)) + " " +
                     std::to_string(plan.settings.checkpoint_every.value_or(0));
    const auto [found, is_new] = place.try_emplace(key, groups.size());
    if (is_new) groups.emplace_back();
    for (std::size_t c = 0; c < plan.clips.size(); ++c) {
      ClipTask task;
      task.plan = &plan;
      task.clip = &plan.clips[c];
      task.plan_index = p;
      task.clip_index = c;
      groups[found->second].push_back(std::move(task));
    }
  }
  const bool only_model = std::all_of(plans.begin(), plans.end(), [&](const auto& plan) {
    return files_key(plan) == files_key(plans.front());
  });
  PreparationTimes times;
  for (auto& group : groups) {
    if (group.empty()) continue;
    const ThreadCount threads(group.front().plan->settings.threads);
    run_model(std::move(group), limits, only_model, reporter, frames, times);
  }
  return times;
}

GenerationResult generate(const GenerationPlan& plan, Observer& observer,
                          const std::function<void(const ClipResult&)>& finished) {
  GenerationResult result;
  SerialObserver voice(observer);
  std::optional<Error> first;
  int64_t failed = 0;
  const std::vector<GenerationPlan> plans(1, plan);
  result.preparation = generate_all(plans, {}, voice, [&](const ClipOutcome& outcome) {
    if (outcome.result) {
      result.clips.push_back(*outcome.result);
      return finished(*outcome.result);
    }
    if (plan.clips.size() > 1)
      voice.note(plan.clips[outcome.clip].output + " failed: " + outcome.error->what());
    if (!first) first = outcome.error;
    ++failed;
  });
  if (failed > 0 && plan.clips.size() > 1)
    throw Error(first->kind(), std::to_string(failed) + " of " + std::to_string(plan.clips.size()) +
                                   " clips failed; the first: " + first->what());
  if (first) throw Error(*first);
  return result;
}

}  // namespace t2v
