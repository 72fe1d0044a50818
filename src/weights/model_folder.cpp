#include "weights/model_folder.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "base/utf8.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

template <class T>
void read_positive(std::optional<T>& field, const Json& json, const std::string& key,
                   const std::string& where) {
  if (json.at(key).is_null()) return;
  field = json_get<T>(json, key, where);
  if (!(*field > T{0}))
    throw Error(ErrorKind::bad_input,
                where + ": '" + key + "' should be positive, found " + json.at(key).dump());
}

void read_text(std::optional<std::string>& field, const Json& json, const std::string& key,
               const std::string& where) {
  if (!json.at(key).is_null()) field = json_get<std::string>(json, key, where);
}

void hash_file(XXH3_state_t* state, const fs::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error(ErrorKind::bad_input, path.string() + ": cannot be read");
  std::vector<char> buffer(std::size_t{1} << 20);
  ssize_t count = 0;
  while ((count = ::read(file, buffer.data(), buffer.size())) > 0)
    XXH3_128bits_update(state, buffer.data(), static_cast<std::size_t>(count));
  ::close(file);
  if (count < 0) throw Error(ErrorKind::bad_input, path.string() + ": cannot be read");
}

}  // namespace

Json ModelFolder::config(const std::string& name) const {
  return read_json(component(name) / (name == "scheduler" ? "scheduler_config.json" : "config.json"));
}

ModelDefaults parse_defaults(const Json& json, const std::string& where) {
  ModelDefaults d;
  const std::map<std::string, std::function<void(const std::string&)>> readers = {
      {"width", [&](const auto& key) { read_positive(d.width, json, key, where); }},
      {"height", [&](const auto& key) { read_positive(d.height, json, key, where); }},
      {"window", [&](const auto& key) { read_positive(d.window, json, key, where); }},
      {"overlap", [&](const auto& key) { read_positive(d.overlap, json, key, where); }},
      {"context_noise",
       [&](const auto& key) {
         if (json.at(key).is_null()) return;
         d.context_noise = json_get<int64_t>(json, key, where);
         if (*d.context_noise < 0)
           throw Error(ErrorKind::bad_input,
                       where + ": 'context_noise' should be 0 or more, found " + json.at(key).dump());
       }},
      {"frames", [&](const auto& key) { read_positive(d.frames, json, key, where); }},
      {"fps", [&](const auto& key) { read_positive(d.fps, json, key, where); }},
      {"steps", [&](const auto& key) { read_positive(d.steps, json, key, where); }},
      {"max_text_tokens", [&](const auto& key) { read_positive(d.max_text_tokens, json, key, where); }},
      {"guidance_scale", [&](const auto& key) { read_positive(d.guidance_scale, json, key, where); }},
      {"guidance_rescale",
       [&](const auto& key) {
         if (json.at(key).is_null()) return;
         d.guidance_rescale = json_get<double>(json, key, where);
         if (!(*d.guidance_rescale >= 0 && *d.guidance_rescale <= 1))
           throw Error(ErrorKind::bad_input,
                       where + ": '" + key + "' should be between 0 and 1, found " + json.at(key).dump());
       }},
      {"scheduler", [&](const auto& key) { read_text(d.scheduler, json, key, where); }},
      {"negative_prompt", [&](const auto& key) { read_text(d.negative_prompt, json, key, where); }},
      {"licence", [&](const auto& key) { read_text(d.licence, json, key, where); }},
      {"card", [&](const auto& key) { read_text(d.card, json, key, where); }},
      {"per_frame_timesteps",
       [&](const auto& key) { d.per_frame_timesteps = json_get<bool>(json, key, where); }},
      {"words", [&](const auto& key) { d.words = json_get<std::vector<std::string>>(json, key, where); }},
      {"sizes",
       [&](const auto& key) {
         d.sizes = json_get<std::vector<std::array<int64_t, 2>>>(json, key, where);
         for (const auto& [width, height] : d.sizes)
           if (width <= 0 || height <= 0)
             throw Error(ErrorKind::bad_input,
                         where + ": 'sizes' should hold pairs of positive width and height");
       }},
  };
  if (!json.is_object()) throw Error(ErrorKind::bad_input, where + ": should be a JSON object");
  for (const auto& [key, value] : json.items()) {
    const auto reader = readers.find(key);
    if (reader == readers.end()) {
      std::vector<std::string> names;
      names.reserve(readers.size());
      for (const auto& [name, read] : readers) names.push_back(name);
      const auto near = nearest_name(key, names);
      throw Error(ErrorKind::bad_input,
                  where + ": unknown key '" + key + "'" + (near ? "; did you mean '" + *near + "'?" : ""));
    }
    reader->second(key);
  }
  return d;
}

const char* weights_stem(const std::string& component) {
  return component == "text_encoder" ? "model" : "diffusion_pytorch_model";
}

ModelFolder open_model_folder(const fs::path& root) {
  std::error_code failed;
  if (!fs::is_directory(root, failed))
    throw Error(ErrorKind::bad_input, root.string() + ": no such model folder");
  const auto index_path = root / "model_index.json";
  if (!fs::exists(index_path, failed))
    throw Error(ErrorKind::bad_input,
                root.string() +
                    ": has no model_index.json; a model is a folder in the Hugging Face diffusers layout");
  ModelFolder model;
  model.root = root;
  model.index = read_json(index_path);
  model.pipeline_class = json_get<std::string>(model.index, "_class_name", index_path.string());
  const auto defaults_path = root / "t2v.json";
  if (fs::exists(defaults_path, failed))
    model.defaults = parse_defaults(read_json(defaults_path), defaults_path.string());
  return model;
}

std::string model_hash(const ModelFolder& model) {
  std::vector<fs::path> files;
  for (const auto& entry :
       fs::recursive_directory_iterator(model.root, fs::directory_options::follow_directory_symlink)) {
    const auto extension = entry.path().extension();
    if (entry.is_regular_file() &&
        (extension == ".json" || extension == ".safetensors" || extension == ".model"))
      files.push_back(fs::relative(entry.path(), model.root));
  }
  std::sort(files.begin(), files.end());
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_128bits_reset(state.get());
  for (const auto& file : files) {
    const auto name = file.generic_string();
    XXH3_128bits_update(state.get(), name.c_str(), name.size() + 1);
    hash_file(state.get(), model.root / file);
  }
  const auto hash = XXH3_128bits_digest(state.get());
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text;
}

}  // namespace t2v
