#include "train/run/model_writer.h"

#include <ATen/ATen.h>

#include <functional>

#include "base/atomic_file.h"
#include "base/json.h"
#include "t2v/error.h"
#include "weights/model_folder.h"
#include "weights/safetensors.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

void change_json(const fs::path& path, const std::function<void(Json&)>& change) {
  auto json = read_json(path);
  change(json);
  write_file_atomically(path, json.dump(2) + "\n");
}

at::Tensor stored_as(at::ScalarType dtype, const at::Tensor& tensor, const fs::path& path,
                     const std::string& name) {
  auto stored = tensor.to(dtype);
  if (dtype == at::kHalf && !at::isfinite(stored).all().item<bool>())
    throw Error(ErrorKind::non_finite, path.string() + ": '" + name + "' is not finite in half precision");
  return stored;
}

}  // namespace

void copy_architecture(const fs::path& from, const fs::path& to) {
  const auto copy = [&](const fs::path& part, fs::copy_options options) {
    std::error_code failed;
    fs::create_directories((to / part).parent_path(), failed);
    fs::copy(from / part, to / part, options | fs::copy_options::overwrite_existing, failed);
    if (failed)
      throw Error(ErrorKind::output, (to / part).string() + ": cannot be copied from " + from.string() +
                                         " (" + failed.message() + ")");
  };
  for (const char* file : {"model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json",
                           "transformer/config.json", "vae/config.json"})
    copy(file, fs::copy_options::none);
  copy("tokenizer", fs::copy_options::recursive);
}

void write_defaults(const fs::path& model, const Json& defaults) {
  write_file_atomically(model / "t2v.json", defaults.dump(2) + "\n");
}

void write_words(const fs::path& model, const std::vector<std::string>& words) {
  change_json(model / "t2v.json", [&](Json& defaults) {
    defaults.erase("words");
    if (!words.empty()) defaults["words"] = words;
  });
}

void write_per_frame_timesteps(const fs::path& model, bool trained) {
  change_json(model / "t2v.json", [&](Json& defaults) {
    defaults.erase(per_frame_timesteps);
    if (trained) defaults[per_frame_timesteps] = true;
  });
}

void write_vocab_size(const fs::path& model, int64_t vocab_size) {
  change_json(model / "text_encoder" / "config.json",
              [&](Json& config) { config["vocab_size"] = vocab_size; });
}

void write_config(const fs::path& model, const std::string& component, const Json& config) {
  write_file_atomically(model / component / "config.json", config.dump(2) + "\n");
}

void write_component(const fs::path& model, const std::string& component, const ParameterSet& parameters,
                     at::ScalarType dtype) {
  const auto path = model / component / (std::string(weights_stem(component)) + ".safetensors");
  auto tensors = parameters.tensors();
  for (auto& [name, tensor] : tensors) tensor = stored_as(dtype, tensor, path, name);
  save_safetensors(path, tensors, {{"format", "pt"}});
}

void write_latent_statistics(const fs::path& model, const LatentStatistics& statistics) {
  change_json(model / "vae" / "config.json", [&](Json& config) {
    config["latents_mean"] = statistics.mean;
    config["latents_std"] = statistics.deviation;
  });
}

}  // namespace t2v
