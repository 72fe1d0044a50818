#include "pipeline/plan/plan_parts.h"

#include <algorithm>
#include <cmath>

#include "pipeline/plan/windows.h"
#include "schedulers/scheduler.h"

namespace t2v {

std::optional<int64_t> wanted_frames(const GenerationPlan& plan, const GenerationRequest& request) {
  if (request.seconds && request.frames) refuse("--seconds and --frames both set the length; leave out one");
  auto wanted = request.frames;
  if (request.seconds) wanted = std::max<int64_t>(1, std::llround(*request.seconds * plan.fps));
  if (wanted && *wanted > 1'000'000)
    refuse("--seconds: the clip would have " + std::to_string(*wanted) + " frames; 1000000 is the most");
  return wanted;
}

void plan_length(GenerationPlan& plan, int64_t wanted, int64_t frame_step) {
  const auto step = std::to_string(frame_step);
  const bool loop = plan.settings.loop.value_or(false);
  plan.frames = loop ? std::max(2 * frame_step, wanted / frame_step * frame_step)
                     : round_frames(wanted, frame_step);
  if (plan.frames != wanted)
    plan.notes.push_back(
        std::to_string(wanted) + " frames became " + std::to_string(plan.frames) +
        (loop ? ": a loop has " + step + "·k, and k is 2 at least" : ": the model makes 1 + " + step + "·k"));
}

void plan_shots(GenerationPlan& plan, const std::optional<Storyboard>& storyboard) {
  if (storyboard)
    plan.shots = storyboard->shots;
  else
    plan.shots = {{.prompt = plan.settings.prompt.value_or(""), .begin = 0, .frames = plan.frames}};
  plan.frames = plan.shots.back().begin + plan.shots.back().frames;
}

void plan_written_frames(GenerationPlan& plan) {
  int64_t begin = 0, end = plan.frames;
  for (const auto& condition : plan.conditions) {
    begin = std::min(begin, condition.at);
    end = std::max(end, condition.at + condition.frames);
  }
  plan.written_frames = end - begin;
}

namespace {

// Whether the windows of a clip can hand on latents, where the family's do: all is one sequence of latents,
// and what is known is at the beginning of the first one.
bool is_one_sequence(const GenerationPlan& plan) {
  return !plan.settings.storyboard &&
         std::all_of(plan.conditions.begin(), plan.conditions.end(), [&](const Condition& condition) {
           return condition.strength == 0 && condition.at <= 0 &&
                  condition.at + condition.frames <= plan.window;
         });
}

}  // namespace

void plan_windows(GenerationPlan& plan, const GenerationRequest& request, const ModelConfigs& configs) {
  const int64_t ratio = configs.model->vae().frame_step();
  const auto& settings = plan.settings;
  const auto check = [&](int64_t value, int64_t least, int64_t most, const char* flag) {
    if (value < least || value > most || round_frames(value, ratio) != value)
      refuse(std::string(flag) + " should be 1 + " + std::to_string(ratio) + "·k, from " +
             std::to_string(least) + " to " + std::to_string(most) + ", found " + std::to_string(value));
  };
  if (settings.loop.value_or(false)) {
    if (request.overlap || request.context_noise)
      refuse(
          "--loop: its windows share half of their frames, all of which are made; leave out --overlap and "
          "--context-noise");
    if (configs.model->patch_size().t > 1)
      refuse(
          "--loop: this model takes several latent frames together, of which a loop's first ones are one "
          "each; it makes no loops");
    plan.window = settings.window.value_or(*configs.defaults.frames);
    check(plan.window, 1 + 2 * ratio, 1'000'001, "--loop: --window");
    plan.windows = windows_of_loop(plan.frames, plan.window, ratio);
    plan.notes.push_back(std::to_string(plan.frames) + " frames are made in " +
                         std::to_string(plan.windows.size()) + " windows of " +
                         std::to_string(plan.windows[0].frames) + " frames, together");
    return;
  }
  if (!configs.model->defaults().per_frame_timesteps) {
    for (const auto& [value, flag] : {std::pair{request.window, "--window"},
                                      {request.overlap, "--overlap"},
                                      {request.context_noise, "--context-noise"}})
      if (value)
        refuse(std::string(flag) +
               ": this model makes a clip in one pass; windows need a model with a noise "
               "level per frame (per_frame_timesteps in t2v.json)");
    for (const auto& shot : plan.shots)
      if (shot.begin > 0 && !shot.cut)
        refuse("the shot from frame " + std::to_string(shot.begin) +
               " on: this model makes a shot in one pass and cannot go on from the one before; "
               "say \"cut\": true in the storyboard");
    plan.windows = windows_of(plan.shots, plan.frames + ratio, 1, ratio);
    plan.window = plan.windows.front().frames;
    return;
  }
  plan.window = settings.window.value_or(*configs.defaults.frames);
  check(plan.window, 1 + ratio, 1'000'001, "--window");
  plan.overlap = request.overlap.value_or(
      std::min(settings.overlap.value_or(1 + ratio), plan.window - ratio));
  check(plan.overlap, 1, plan.window - ratio, "--overlap");
  plan.context_noise = settings.context_noise.value_or(0);
  training_level(configs.scheduler, plan.context_noise);  // checks the range
  if (settings.extend && settings.backward.value_or(false)) {
    if (plan.frames > plan.window) check(plan.window, 1 + 2 * ratio, 1'000'001, "--backward: --window");
    plan.windows = windows_from_end(plan.frames, plan.window, plan.overlap, ratio);
    if (plan.windows.size() > 1)
      plan.notes.push_back(std::to_string(plan.frames) + " frames are made in " +
                           std::to_string(plan.windows.size()) + " windows of " +
                           std::to_string(plan.window) + " frames, from the last to the first");
    return;
  }
  plan.hands_on_latents = configs.model->hands_on_latents() && is_one_sequence(plan);
  plan.windows = windows_of(plan.shots, plan.window, plan.overlap, ratio, !plan.hands_on_latents);
  if (plan.windows.size() > 1)
    plan.notes.push_back(std::to_string(plan.frames) + " frames are made in " +
                         std::to_string(plan.windows.size()) + " windows of " +
                         std::to_string(plan.windows[0].frames) + " frames, each going on from the last " +
                         std::to_string(plan.overlap) + " of the one before" +
                         (plan.shots.size() > 1 ? ", but where a shot begins with a cut" : ""));
}

}  // namespace t2v
