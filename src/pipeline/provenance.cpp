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
  auto settings = recorded_settings(plan.settings, Record::clip);
  settings["seed"] = clip.seed;
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
  if (const auto& size = plan.settings.resize)
    provenance["resampling"] = resampling_text(plan.width, plan.height, *size,
                                               plan.settings.resize_filter.value());
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
  find(found.vae_dtype, "vae_dtype", {&settings});
  find(found.vae_tiling, "vae_tiling", {&settings});
  if (!encoded.empty()) return found;  // the frames had been resized before they were encoded
  find(found.resize, "resize", {&settings});
  find(found.resize_filter, "resize_filter", {&settings});
  return found;
}

void set_decode_settings(Json& provenance, const DecodeSettings& used, int64_t width, int64_t height) {
  if (!provenance.contains("settings") || provenance.contains("encoded")) return;
  auto& settings = provenance.at("settings");
  for (const char* key :
       {"resize", "resize_filter", "codec", "crf", "quality", "bitrate", "vae_dtype", "vae_tiling"})
    settings.erase(key);
  provenance.erase("resampling");
  settings["fps"] = used.fps.value();
  if (used.codec) settings["codec"] = *used.codec;
  if (used.crf) settings["crf"] = *used.crf;
  if (used.quality) settings["quality"] = *used.quality;
  if (used.bitrate) settings["bitrate"] = *used.bitrate;
  if (used.vae_dtype) settings["vae_dtype"] = *used.vae_dtype;
  if (used.vae_tiling) settings["vae_tiling"] = *used.vae_tiling;
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
