#include "train/model_writer.h"

#include "base/atomic_file.h"
#include "base/json.h"
#include "t2v/error.h"
#include "weights/model_folder.h"
#include "weights/safetensors.h"

namespace t2v {

namespace fs = std::filesystem;

void copy_architecture(const fs::path& from, const fs::path& to) {
  const auto copy = [&](const fs::path& part, fs::copy_options options) {
    std::error_code failed;
    fs::create_directories((to / part).parent_path(), failed);
    fs::copy(from / part, to / part, options | fs::copy_options::overwrite_existing, failed);
    if (failed)
      throw Error(ErrorKind::output, (to / part).string() + ": cannot be copied from " + from.string() + " (" + failed.message() + ")");
  };
  for (const char* file :
       {"model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "transformer/config.json", "vae/config.json"})
    copy(file, fs::copy_options::none);
  copy("tokenizer", fs::copy_options::recursive);
  if (fs::exists(from / "t2v.json")) copy("t2v.json", fs::copy_options::none);
}

void change_defaults(const fs::path& model, const Json& changes) {
  if (changes.empty()) return;
  const auto path = model / "t2v.json";
  auto defaults = fs::exists(path) ? read_json(path) : Json::object();
  defaults.update(changes);
  write_file_atomically(path, defaults.dump(2) + "\n");
  open_model_folder(model);  // refuses what t2v.json does not know
}

void write_words(const fs::path& model, const std::vector<std::string>& words) {
  const auto path = model / "t2v.json";
  auto defaults = fs::exists(path) ? read_json(path) : Json::object();
  defaults.erase("words");
  if (!words.empty()) defaults["words"] = words;
  write_file_atomically(path, defaults.dump(2) + "\n");
}

void write_vocab_size(const fs::path& model, int64_t vocab_size) {
  const auto path = model / "text_encoder" / "config.json";
  auto config = read_json(path);
  config["vocab_size"] = vocab_size;
  write_file_atomically(path, config.dump(2) + "\n");
}

void write_component(const fs::path& model, const std::string& component, const ParameterSet& parameters) {
  save_safetensors(model / component / (std::string(weights_stem(component)) + ".safetensors"), parameters.tensors(), {{"format", "pt"}});
}

void write_latent_statistics(const fs::path& model, const LatentStatistics& statistics) {
  const auto path = model / "vae" / "config.json";
  auto config = read_json(path);
  config["latents_mean"] = statistics.mean;
  config["latents_std"] = statistics.deviation;
  write_file_atomically(path, config.dump(2) + "\n");
}

}  // namespace t2v
