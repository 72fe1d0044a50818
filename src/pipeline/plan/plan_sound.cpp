#include "pipeline/plan/plan_sound.h"

#include <algorithm>

#include "pipeline/frames.h"

namespace t2v {

void plan_sound(GenerationPlan& plan, const Sources& sources) {
  const auto& task = plan.settings;
  if (!(task.extend || task.connect || task.fill || task.edit)) return;
  int64_t begin = 0;  // of the finished clip, in frames of the plan's
  for (const auto& condition : plan.conditions) begin = std::min(begin, condition.at);
  const Condition* before = nullptr;
  for (const auto& condition : plan.conditions) {
    const auto& source = sources.at(condition.source);
    if (!source.has_sound) continue;
    const auto first = condition.at - condition.from;  // where the source's first frame is
    const auto until = static_cast<double>(condition.at + condition.frames - begin) / plan.fps;
    const auto at = static_cast<double>(first - begin) / plan.fps;
    // Of a video that is filled, both ends are there, in one sound.
    const bool goes_on = before && before->source == condition.source && before->at - before->from == first;
    if (goes_on)
      plan.sound.back().seconds = until - at;
    else
      plan.sound.push_back(
          {.source = condition.source, .begins = source.begins, .at = at, .seconds = until - at});
    before = &condition;
  }
  if (plan.sound.empty()) return;
  SoundPlan kept{{}, false, "the frames go to a receiver"};
  if (!plan.clips.front().output.empty()) kept = plan_sound(encoder_options_of(plan, plan.clips.front()));
  for (const auto& part : plan.sound)
    plan.notes.push_back(part.source + ": its sound is " +
                         (kept.codec.empty() ? "left out: " + kept.why
                          : kept.is_copied   ? "kept (" + kept.codec + ")"
                                             : "kept as " + kept.codec + ": " + kept.why));
  if (kept.codec.empty()) plan.sound.clear();
}

}  // namespace t2v
