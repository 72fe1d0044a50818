#include "pipeline/run/checkpoint.h"

#include <ATen/ATen.h>
#include <torch/headeronly/version.h>
#include <xxhash.h>

#include "base/json.h"
#include "base/json_text.h"
#include "pipeline/latents_file.h"
#include "pipeline/plan/output_template.h"
#include "pipeline/plan/windows.h"
#include "pipeline/provenance.h"
#include "weights/safetensors.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

std::string hash_of(const at::Tensor& values) {
  const auto bytes = values.contiguous();
  char text[17];
  std::snprintf(text, sizeof text, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(bytes.const_data_ptr(), bytes.nbytes())));
  return text;
}

// What the latents depend on: not how they are encoded afterwards.
Json latent_settings(const GenerationPlan& plan, const PlannedClip& clip, const std::string& model_hash) {
  auto settings = settings_of_clip(plan, clip);
  for (const char* key : {"model", "codec", "crf", "quality", "bitrate", "fps", "resize", "resize_filter"})
    settings.erase(key);
  if (plan.reads_frame_rate) settings["fps"] = plan.fps;
  if (plan.settings.storyboard) settings["shots"] = shots_to_json(plan);  // its file may change
  if (!plan.sources.empty()) settings["sources"] = plan.sources;
  settings["model_hash"] = model_hash;
  settings["device"] = plan.device.substr(0, plan.device.find(':'));  // which card of a kind does not matter
  if (const auto& file = plan.settings.init_latents)
    settings["init_latents"] = hash_of(read_latents(*file, plan.latent_shape));
  settings["libtorch"] = TORCH_VERSION;
  return settings;
}

std::string differences(const Json& saved, const Json& asked) {
  std::string text;
  const auto shown = [](const Json& settings, const std::string& key) {
    return settings.contains(key) ? json_text(settings.at(key)) : "none";
  };
  auto keys = saved;
  keys.update(asked);
  for (const auto& [key, value] : keys.items())
    if (shown(saved, key) != shown(asked, key))
      text += (text.empty() ? "" : ", ") + key + " " + shown(saved, key) + " there, " + shown(asked, key) +
              " now";
  return text;
}

[[noreturn]] void refuse_checkpoint(const fs::path& path, const std::string& what) {
  throw Error(ErrorKind::bad_input,
              path.string() + ": is no checkpoint of t2v (" + what + "); delete it to start the clip anew");
}

}  // namespace

fs::path checkpoint_path(const PlannedClip& clip, const std::string& folder) {
  const fs::path output = clip.output == "-" ? "stdout" : clip.output;
  std::string name(1, '.');
  name.append(output.filename().string());
  if (!folder.empty()) {
    char hash[18];
    std::snprintf(hash, sizeof hash, ".%016llx",
                  static_cast<unsigned long long>(XXH3_64bits(clip.output.data(), clip.output.size())));
    name.append(hash);
  }
  return (folder.empty() ? output.parent_path() : fs::path(folder)) /
         name_that_fits(name, ".checkpoint.safetensors");
}

void save_checkpoint(const fs::path& path, const Checkpoint& checkpoint, const GenerationPlan& plan,
                     const PlannedClip& clip, const std::string& model_hash) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  tensors.emplace_back("values", checkpoint.values);
  tensors.emplace_back("generator", checkpoint.generator);
  for (std::size_t i = 0; i < checkpoint.history.predictions.size(); ++i)
    tensors.emplace_back("prediction." + std::to_string(i), checkpoint.history.predictions[i]);
  if (checkpoint.history.last_sample) tensors.emplace_back("last_sample", *checkpoint.history.last_sample);
  save_safetensors(path, tensors,
                   {{"t2v_checkpoint", "2"},
                    {"window", std::to_string(checkpoint.window)},
                    {"step", std::to_string(checkpoint.step)},
                    {"last_order", std::to_string(checkpoint.history.last_order)},
                    {"next_step", std::to_string(checkpoint.history.next_step)},
                    {"settings", json_text(latent_settings(plan, clip, model_hash))}});
}

std::optional<Checkpoint> read_checkpoint(const fs::path& path, const GenerationPlan& plan,
                                          const PlannedClip& clip, const std::string& model_hash) {
  std::error_code failed;
  if (!fs::exists(path, failed)) return std::nullopt;
  const auto file = SafetensorsFile::open(path);
  const auto text = [&](const std::string& key) {
    const auto found = file->metadata().find(key);
    if (found == file->metadata().end()) refuse_checkpoint(path, "no '" + key + "' in its metadata");
    return found->second;
  };
  const auto number = [&](const std::string& key) {
    const auto digits = text(key);
    if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos)
      refuse_checkpoint(path, key + " '" + digits + "'");
    return static_cast<int64_t>(std::stoll(digits));
  };
  if (text("t2v_checkpoint") != "2") refuse_checkpoint(path, "version '" + text("t2v_checkpoint") + "'");
  const auto settings = Json::parse(text("settings"), nullptr, /*allow_exceptions=*/false);
  if (!settings.is_object()) refuse_checkpoint(path, "its settings are no JSON object");
  const auto changed = differences(settings, latent_settings(plan, clip, model_hash));
  if (!changed.empty())
    throw Error(ErrorKind::usage,
                path.string() + ": is a checkpoint of " + clip.output + " with other settings (" + changed +
                    "). Repeat those settings to go on, or delete the checkpoint to start anew");
  Checkpoint checkpoint{.window = number("window"),
                        .step = number("step"),
                        .values = file->tensor("values").clone(),
                        .history = {},
                        .generator = file->tensor("generator").clone()};
  const auto like_values = [&](const std::string& name) {
    auto tensor = file->tensor(name).clone();
    if (tensor.scalar_type() != at::kFloat || tensor.sizes() != checkpoint.values.sizes())
      refuse_checkpoint(path, "tensor '" + name + "'");
    return tensor;
  };
  like_values("values");
  const auto window = static_cast<std::size_t>(checkpoint.window);
  if (checkpoint.values.dim() != 2 || window >= plan.windows.size() || checkpoint.step < 1 ||
      checkpoint.values.size(0) != window_tokens(plan, window) || checkpoint.step > plan.steps ||
      checkpoint.generator.scalar_type() != at::kByte || checkpoint.generator.dim() != 1)
    refuse_checkpoint(path, "its tensors do not fit the clip");
  for (std::size_t i = 0; file->entries().contains("prediction." + std::to_string(i)); ++i)
    checkpoint.history.predictions.push_back(like_values("prediction." + std::to_string(i)));
  if (file->entries().contains("last_sample")) checkpoint.history.last_sample = like_values("last_sample");
  checkpoint.history.last_order = number("last_order");
  checkpoint.history.next_step = number("next_step");
  return checkpoint;
}

void remove_checkpoint(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
  for (std::size_t window = 0; fs::remove(window_latents_path(path, window), ignored); ++window) continue;
}

fs::path window_latents_path(const fs::path& checkpoint, std::size_t window) {
  char number[32];
  std::snprintf(number, sizeof number, ".%06zu", window);
  return fs::path(checkpoint).replace_extension(number);
}

SchedulerHistory history_rows(const SchedulerHistory& history, int64_t begin, int64_t end) {
  auto rows = history;
  for (auto& prediction : rows.predictions) prediction = prediction.slice(0, begin, end);
  if (rows.last_sample) rows.last_sample = rows.last_sample->slice(0, begin, end);
  return rows;
}

SchedulerHistory join_histories(const std::vector<SchedulerHistory>& histories) {
  auto joined = histories.at(0);
  for (std::size_t i = 0; i < joined.predictions.size(); ++i) {
    std::vector<at::Tensor> parts;
    for (const auto& history : histories) parts.push_back(history.predictions.at(i));
    joined.predictions[i] = at::cat(parts);
  }
  if (joined.last_sample) {
    std::vector<at::Tensor> parts;
    for (const auto& history : histories) parts.push_back(history.last_sample.value());
    joined.last_sample = at::cat(parts);
  }
  return joined;
}

}  // namespace t2v
