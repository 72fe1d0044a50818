// The plan as people and scripts read it.
#include "base/json_text.h"
#include "pipeline/plan/settings.h"
#include "pipeline/provenance.h"
#include "t2v/generate.h"

namespace t2v {

std::string plan_to_json(const GenerationPlan& plan) {
  nlohmann::ordered_json clips = nlohmann::ordered_json::array();
  for (const auto& clip : plan.clips) {
    nlohmann::ordered_json entry = {{"seed", clip.seed}, {"output", clip.output}};
    if (clip.save_latents) entry["save_latents"] = *clip.save_latents;
    if (clip.trace) entry["trace"] = *clip.trace;
    clips.push_back(std::move(entry));
  }
  nlohmann::ordered_json json;
  const auto recorded = recorded_settings(plan.settings, Record::plan);
  for (const auto& setting : generation_settings())
    if (recorded.contains(setting.key)) json[setting.key] = recorded.at(setting.key);
  json["model_folder"] = plan.model_folder;
  json["cleaned_prompt"] = plan.shots.front().cleaned_prompt;
  json["cleaned_negative_prompt"] = plan.cleaned_negative_prompt;
  json["frames"] = plan.frames;
  json["seconds"] = static_cast<double>(plan.written_frames) / plan.fps;
  if (plan.windows.size() > 1) json["windows"] = plan.windows.size();
  if (plan.settings.storyboard) json["shots"] = shots_to_json(plan);
  for (const auto& c : plan.conditions)
    json["conditions"].push_back({{"source", c.source},
                                  {"from", c.from},
                                  {"frames", c.frames},
                                  {"at", c.at},
                                  {"hold", c.hold},
                                  {"linger", c.linger},
                                  {"strength", c.strength}});
  if (!plan.conditions.empty()) {
    json["written_frames"] = plan.written_frames;
    json["first_step"] = plan.first_step;
    if (plan.inside) json["inside"] = *plan.inside;
  }
  if (!plan.sources.empty()) json["sources"] = plan.sources;
  for (const auto& part : plan.sound)
    json["sound"].push_back({{"source", part.source}, {"at", part.at}, {"seconds", part.seconds}});
  json["max_text_tokens"] = plan.max_text_tokens;
  json["latent_shape"] = plan.latent_shape;
  json["tokens"] = plan.tokens;
  json["branches"] = plan.branches;
  json["weight_bytes"] = plan.weight_bytes;
  for (const auto& [component, where] : plan.placement)
    json["placement"][component] = {
        {"device", where.device}, {"dtype", where.dtype}, {"residency", where.residency}};
  json["memory"] = {{"program", plan.memory.program},
                    {"weights", plan.memory.weights},
                    {"denoising", plan.memory.denoising},
                    {"decoding", plan.memory.decoding},
                    {"peak", plan.memory.peak}};
  if (plan.time)
    json["time"] = {{"text", plan.time->text},         {"denoising", plan.time->denoising},
                    {"decoding", plan.time->decoding}, {"total", plan.time->total},
                    {"flops", plan.time->flops},       {"flops_per_second", plan.time->rate}};
  if (plan.memory_limit) json["memory_limit"] = *plan.memory_limit;
  json["clips"] = std::move(clips);
  json["notes"] = plan.notes;
  return json_text(json, 2);
}

}  // namespace t2v
