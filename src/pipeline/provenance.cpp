#include "pipeline/provenance.h"

#include <torch/headeronly/version.h>

#include "base/json_text.h"
#include "pipeline/plan/settings.h"
#include "t2v/generate.h"

namespace t2v {

namespace {

constexpr const char*
    digital_source_type = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia";

std::string resampling_text(int64_t width, int64_t height, const std::string& size,
                            const std::string& filter) {
  return std::to_string(width) + "x" + std::to_string(height) + " resampled to " + size + " (" + filter + ")";
}

}  // namespace

std::string version() { return T2V_VERSION; }

Json shots_to_json(const GenerationPlan& plan) {
  Json shots = Json::array();
  for (const auto& shot : plan.shots)
    shots.push_back({{"prompt", shot.prompt},
                     {"cleaned_prompt", shot.cleaned_prompt},
                     {"begin", shot.begin},
                     {"frames", shot.frames},
                     {"cut", shot.cut}});
  return shots;
}

Json settings_of_clip(const GenerationPlan& plan, const PlannedClip& clip) {
  Json settings = {{"model", plan.model},
                   {"prompt", plan.prompt},
                   {"negative_prompt", plan.negative_prompt},
                   {"width", plan.width},
                   {"height", plan.height},
                   {"frames", plan.frames},
                   {"fps", plan.fps},
                   {"seed", clip.seed},
                   {"steps", plan.steps},
                   {"guidance_scale", plan.guidance_scale},
                   {"guidance_rescale", plan.guidance_rescale},
                   {"scheduler", plan.scheduler},
                   {"eta", plan.eta},
                   {"device", plan.device},
                   {"dtype", plan.dtype}};
  if (plan.guidance_scale_2) settings["guidance_scale_2"] = *plan.guidance_scale_2;
  if (plan.codec) settings["codec"] = *plan.codec;
  if (plan.crf) settings["crf"] = *plan.crf;
  if (plan.quality) settings["quality"] = *plan.quality;
  if (plan.bitrate) settings["bitrate"] = *plan.bitrate;
  if (plan.flow_shift) settings["flow_shift"] = *plan.flow_shift;
  if (!plan.timesteps.empty()) settings["timesteps"] = plan.timesteps;
  if (!plan.sigmas.empty()) settings["sigmas"] = plan.sigmas;
  if (plan.dynamic_guidance) settings["dynamic_guidance"] = true;
  if (plan.reads_control) settings["control_scale"] = plan.control_scale;
  if (plan.resize) settings["resize"] = *plan.resize, settings["resize_filter"] = plan.resize_filter;
  if (plan.windows.size() > 1) {
    settings["window"] = plan.window;
    settings["overlap"] = plan.overlap;
    settings["context_noise"] = plan.context_noise;
  }
  if (plan.init_latents) settings["init_latents"] = *plan.init_latents;
  for (const auto& [component, file] : plan.weights) settings[component] = file;
  if (!plan.loras.empty()) settings["lora"] = plan.loras;
  if (plan.weights_dtype) settings["weights_dtype"] = *plan.weights_dtype;
  if (!plan.conditions.empty() || plan.task.storyboard) {
    settings.erase("frames");
    settings.update(request_to_json(plan.task));
  }
  return settings;
}

Json provenance_of_clip(const GenerationPlan& plan, const PlannedClip& clip, const ModelHashes& hashes) {
  Json provenance = {{"t2v", version()},
                     {"libtorch", TORCH_VERSION},
                     {"model_hash", hashes.model},
                     {"vae_hash", hashes.vae},
                     {"digital_source_type", digital_source_type},
                     {"settings", settings_of_clip(plan, clip)}};
  if (!plan.sources.empty()) provenance["sources"] = plan.sources;
  if (plan.resize)
    provenance["resampling"] = resampling_text(plan.width, plan.height, *plan.resize, plan.resize_filter);
  return provenance;
}

Json parse_provenance(const std::string& text) {
  Json parsed;
  if (try_parse_json(text, parsed) || !parsed.is_object() || !parsed.contains("t2v")) return Json::object();
  for (const char* key : {"settings", "encoded"})
    if (parsed.contains(key) && !parsed.at(key).is_object()) return Json::object();
  return parsed;
}

Json provenance_in(const std::map<std::string, std::string>& metadata) {
  const auto comment = metadata.find("comment");
  return comment == metadata.end() ? Json::object() : parse_provenance(comment->second);
}

DecodeSettings decode_settings(const Json& provenance, const std::string& where) {
  const auto settings = provenance.value("settings", Json::object());
  const auto encoded = provenance.value("encoded", Json::object());
  const auto find = [&]<class T>(std::optional<T>& field, const char* key,
                                 std::initializer_list<const Json*> places) {
    for (const auto* place : places)
      if (!field && place->contains(key) && !place->at(key).is_null())
        field = json_get<T>(*place, key, where);
  };
  DecodeSettings found;
  find(found.model, "model", {&encoded, &settings});
  find(found.fps, "fps", {&encoded, &settings});
  find(found.codec, "codec", {&settings});
  find(found.crf, "crf", {&settings});
  find(found.quality, "quality", {&settings});
  find(found.bitrate, "bitrate", {&settings});
  find(found.vae_hash, "vae_hash", {&encoded, &provenance});
  if (!encoded.empty()) return found;  // the frames had been resized before they were encoded
  find(found.resize, "resize", {&settings});
  find(found.resize_filter, "resize_filter", {&settings});
  return found;
}

void set_decode_settings(Json& provenance, const DecodeSettings& used, int64_t width, int64_t height) {
  if (!provenance.contains("settings") || provenance.contains("encoded")) return;
  auto& settings = provenance.at("settings");
  for (const char* key : {"resize", "resize_filter", "codec", "crf", "quality", "bitrate"})
    settings.erase(key);
  provenance.erase("resampling");
  settings["fps"] = used.fps.value();
  if (used.codec) settings["codec"] = *used.codec;
  if (used.crf) settings["crf"] = *used.crf;
  if (used.quality) settings["quality"] = *used.quality;
  if (used.bitrate) settings["bitrate"] = *used.bitrate;
  if (!used.resize) return;
  settings["resize"] = *used.resize;
  settings["resize_filter"] = used.resize_filter.value();
  provenance["resampling"] = resampling_text(width, height, *used.resize, *used.resize_filter);
}

std::vector<std::pair<std::string, std::string>> container_metadata(const Json& provenance) {
  std::vector<std::pair<std::string, std::string>> metadata;
  const auto add = [&](const char* key, const Json& object, const char* from) {
    if (object.contains(from) && object.at(from).is_string())
      metadata.emplace_back(key, object.at(from).get<std::string>());
  };
  if (provenance.contains("settings")) add("title", provenance.at("settings"), "prompt");
  if (!provenance.empty()) metadata.emplace_back("comment", json_text(provenance));
  add("digital_source_type", provenance, "digital_source_type");
  return metadata;
}

}  // namespace t2v
