#include "weights/model_folder.h"

#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>

#include "base/file_status.h"
#include "base/json_text.h"
#include "base/mapped_file.h"
#include "base/utf8.h"
#include "weights/gguf.h"
#include "weights/safetensors.h"
#include "weights/weight_files.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

// What t2v reads of a model beside its weights, where it is there. What has to be there is said by those who
// read it.
constexpr const char* small_files[] = {"model_index.json",
                                       "t2v.json",
                                       "scheduler/scheduler_config.json",
                                       "tokenizer/spiece.model",
                                       "tokenizer/tokenizer.json",
                                       "tokenizer/tokenizer_config.json",
                                       "tokenizer/special_tokens_map.json",
                                       "image_processor/preprocessor_config.json"};

constexpr std::size_t most_weights_hashed_whole = std::size_t{64} << 20;  // bytes, of all files together
constexpr std::size_t hashed_of_tensor = std::size_t{64} << 10;           // bytes, where they are more

class Hash {
 public:
  Hash() { XXH3_128bits_reset(state_.get()); }
  void add(std::string_view bytes) { XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()); }
  // A file's name and size, so that no two lists of files are the same bytes.
  void add_file(const fs::path& name, std::size_t size) {
    add(name.generic_string() + '\0' + std::to_string(size) + '\0');
  }
  std::string digits() const {
    const auto hash = XXH3_128bits_digest(state_.get());
    char text[33];
    std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                  static_cast<unsigned long long>(hash.low64));
    return text;
  }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_{XXH3_createState(), XXH3_freeState};
};

void add_small_file(Hash& hash, const ModelFolder& model, const fs::path& name,
                    const std::function<void()>& between_files) {
  between_files();
  const MappedFile file(model.root / name);
  hash.add_file(name, file.size());
  hash.add({reinterpret_cast<const char*>(file.bytes()), file.size()});
}

// A file, or those of a folder that are read.
void add_tokenizer(Hash& hash, const fs::path& given, const std::function<void()>& between_files) {
  const auto add = [&](const fs::path& path) {
    between_files();
    const MappedFile file(path);
    hash.add_file(path.filename(), file.size());
    hash.add({reinterpret_cast<const char*>(file.bytes()), file.size()});
  };
  if (!is_folder(given)) return add(given);
  for (const char* name :
       {"spiece.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"})
    if (is_there(given / name)) add(given / name);
}

// A file of weights as its bytes.
struct WeightBytes {
  std::shared_ptr<const void> file;  // keeps them mapped
  std::size_t size = 0;
  std::string_view header;                // at the beginning of the mapping
  std::vector<std::string_view> tensors;  // by name
};

WeightBytes open_bytes(const fs::path& path) {
  const auto bytes_of = [](const auto& file, const auto& entries) {
    WeightBytes bytes{file, file->size_in_bytes(), file->header_bytes(), {}};
    for (const auto& [name, entry] : entries) bytes.tensors.push_back(file->tensor_bytes(entry));
    return bytes;
  };
  if (is_gguf(path)) {
    const auto file = GgufFile::open(path);
    return bytes_of(file, file->tensors());
  }
  const auto file = SafetensorsFile::open(path);
  return bytes_of(file, file->entries());
}

// Has the kernel fetch the first `most` bytes of each tensor, and not the megabytes around them that it would
// fetch for one who reads a mapped file from its beginning to its end.
void fetch_beginnings(const WeightBytes& file, std::size_t most) {
  const auto begin_of_file = reinterpret_cast<std::uintptr_t>(file.header.data());
  const auto page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto advise = [&](std::uintptr_t begin, std::size_t size, int advice) {
    const auto before = (begin - begin_of_file) % page_size;
    ::madvise(reinterpret_cast<void*>(begin - before), size + before, advice);
  };
  advise(begin_of_file, file.size, MADV_RANDOM);
  for (const auto& tensor : file.tensors) {
    const auto bytes = tensor.substr(0, most);
    advise(reinterpret_cast<std::uintptr_t>(bytes.data()), bytes.size(), MADV_WILLNEED);
  }
}

// Configs and weights.
void add_components(Hash& hash, const ModelFolder& model, const std::vector<std::string>& components,
                    const std::function<void()>& between_files) {
  std::vector<std::pair<fs::path, WeightBytes>> weights;  // by name in the model
  std::size_t bytes = 0;
  for (const auto& component : components) {
    const fs::path folder = component;
    if (model.root.empty())
      hash.add(component + '\0' + json_text(model.config(component)) + '\0');
    else
      add_small_file(hash, model, folder / "config.json", between_files);
    const auto given = model.given_weights.find(component);
    const auto found = given == model.given_weights.end()
                           ? find_weight_files(model.component(component), weights_stem(component))
                           : WeightFiles{.files = {given->second}, .index = {}, .shard_of = {}};
    if (!found.index.empty()) add_small_file(hash, model, folder / found.index.filename(), between_files);
    for (const auto& path : found.files) {
      weights.emplace_back(folder / path.filename(), open_bytes(path));
      bytes += weights.back().second.size;
    }
    const auto loras = model.loras.find(component);
    for (const auto& lora : loras == model.loras.end() ? std::vector<Lora>() : loras->second) {
      weights.emplace_back(folder / ("lora:" + std::to_string(lora.scale)) / lora.file.filename(),
                           open_bytes(lora.file));
      bytes += weights.back().second.size;
    }
  }
  const auto most = bytes <= most_weights_hashed_whole ? std::string_view::npos : hashed_of_tensor;
  for (const auto& [name, file] : weights) {
    between_files();
    hash.add_file(name, file.size);
    hash.add(file.header);
    if (most != std::string_view::npos) fetch_beginnings(file, most);
    for (const auto& tensor : file.tensors) hash.add(tensor.substr(0, most));
  }
}

// JSON of Python's, which writes numbers that JSON does not have, such as a scheduler's lambda_min_clipped.
// As long as `text`, so that places in messages hold.
std::string with_null_for_infinity(const std::string& text) {
  std::string result = text;
  bool in_string = false;
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (in_string && result[i] == '\\')
      ++i;
    else if (result[i] == '"')
      in_string = !in_string;
    else if (!in_string)
      for (const std::string_view word : {"-Infinity", "Infinity"})
        if (std::string_view(result).substr(i).starts_with(word))
          result.replace(i, word.size(), std::string("null").append(word.size() - 4, ' '));
  }
  return result;
}

}  // namespace

bool ModelFolder::has(const std::string& component) const {
  const auto entry = index.find(component);
  return entry != index.end() && entry->is_array() && !entry->empty() && !entry->back().is_null();
}

Json ModelFolder::config(const std::string& name) const {
  const auto given = given_configs.find(name);
  if (given != given_configs.end()) return given->second.json;
  const auto file = config_name(name);
  return parse_json(with_null_for_infinity(read_text(file, ErrorKind::bad_input, JsonLimits().bytes)), file);
}

std::string ModelFolder::config_name(const std::string& name) const {
  const auto given = given_configs.find(name);
  if (given != given_configs.end()) return given->second.where;
  const char* file = name == "scheduler"         ? "scheduler_config.json"
                     : name == "image_processor" ? "preprocessor_config.json"
                                                 : "config.json";
  return (component(name) / file).string();
}

const std::vector<std::string>& model_keys() {
  static const std::vector<std::string> keys = {"max_text_tokens", "licence", "card",
                                                "sizes",           "words",   "per_frame_timesteps"};
  return keys;
}

ModelDefaults parse_defaults(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(ErrorKind::bad_input, where + ": should be a JSON object");
  ModelDefaults d;
  const auto read = [&]<class T>(std::optional<T>& field, const char* key) {
    if (json.contains(key) && !json.at(key).is_null()) field = json_get<T>(json, key, where);
  };
  read(d.max_text_tokens, "max_text_tokens");
  if (d.max_text_tokens && *d.max_text_tokens <= 0)
    throw Error(ErrorKind::bad_input, where + ": 'max_text_tokens' should be positive, found " +
                                          std::to_string(*d.max_text_tokens));
  read(d.licence, "licence");
  read(d.card, "card");
  if (json.contains("words")) d.words = json_get<std::vector<std::string>>(json, "words", where);
  if (json.contains("per_frame_timesteps"))
    d.per_frame_timesteps = json_get<bool>(json, "per_frame_timesteps", where);
  if (json.contains("sizes")) d.sizes = json_get<std::vector<std::array<int64_t, 2>>>(json, "sizes", where);
  for (const auto& [width, height] : d.sizes)
    if (width <= 0 || height <= 0)
      throw Error(ErrorKind::bad_input, where + ": 'sizes' should hold pairs of positive width and height");
  d.settings = json;
  for (const auto& key : model_keys()) d.settings.erase(key);
  return d;
}

const char* weights_stem(const std::string& component) {
  return component == "text_encoder" || component == "image_encoder" ? "model" : "diffusion_pytorch_model";
}

ModelFolder open_model_folder(const fs::path& root) {
  if (!is_folder(root)) throw Error(ErrorKind::bad_input, root.string() + ": no such model folder");
  const auto index_path = root / "model_index.json";
  if (!is_there(index_path))
    throw Error(ErrorKind::bad_input,
                root.string() +
                    ": has no model_index.json; a model is a folder in the Hugging Face diffusers layout");
  ModelFolder model;
  model.root = root;
  model.index = read_json(index_path);
  model.pipeline_class = json_get<std::string>(model.index, "_class_name", index_path.string());
  const auto defaults_path = root / "t2v.json";
  if (is_there(defaults_path))
    model.defaults = parse_defaults(read_json(defaults_path), defaults_path.string());
  return model;
}

std::string model_hash(const ModelFolder& model, const std::function<void()>& between_files) {
  Hash hash;
  if (model.root.empty()) {
    for (const auto& json : {model.index, model.config("scheduler")}) hash.add(json_text(json) + '\0');
  } else {
    for (const char* name : small_files)
      if (is_there(model.root / name)) add_small_file(hash, model, name, between_files);
  }
  if (const auto tokenizer = model.given_weights.find("tokenizer"); tokenizer != model.given_weights.end())
    add_tokenizer(hash, tokenizer->second, between_files);
  std::vector<std::string> components = {"text_encoder", "transformer", "vae"};
  for (const char* other : {"transformer_2", "image_encoder"})
    if (model.has(other)) components.emplace_back(other);
  add_components(hash, model, components, between_files);
  return hash.digits();
}

std::string component_hash(const ModelFolder& model, const std::string& component,
                           const std::function<void()>& between_files) {
  Hash hash;
  add_components(hash, model, {component}, between_files);
  return hash.digits();
}

}  // namespace t2v
