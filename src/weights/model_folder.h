// A model on disk: Hugging Face diffusers layout (model_index.json and component folders), with an optional
// t2v.json of defaults beside it.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "weights/lora.h"

namespace t2v {

// What t2v.json may hold. Absent fields keep the family's defaults.
struct ModelDefaults {
  Json settings = Json::object();  // of generation: default_settings reads them
  std::optional<int64_t> max_text_tokens;
  std::optional<std::string> licence, card;
  std::vector<std::array<int64_t, 2>> sizes;  // trained {width, height}
  std::vector<std::string> words;    // all that the model was trained on, where they are few: others mean
                                     // nothing to it
  bool per_frame_timesteps = false;  // trained with a noise level per latent frame, and with known first
                                     // frames: long clips are made in windows
};

// Keys of t2v.json that are no settings of generation.
const std::vector<std::string>& model_keys();

// The same as JSON. Throws Error{bad_input} for bad values; settings of generation are kept as they are.
ModelDefaults parse_defaults(const Json& json, const std::string& where);

struct ModelFolder {
  std::filesystem::path root;  // empty: there is no folder, all is given
  std::string pipeline_class;  // "WanPipeline"
  Json index;                  // model_index.json
  ModelDefaults defaults;

  // Of components whose config is to be another than the file's, and what messages call it.
  struct GivenConfig {
    Json json;
    std::string where;
  };
  std::map<std::string, GivenConfig> given_configs = {};
  std::map<std::string, std::filesystem::path> given_weights = {};  // files in place of a component's own
  std::map<std::string, std::vector<Lora>> loras = {};              // of "transformer" and "transformer_2"
  std::optional<std::string> weights_dtype = {};  // that the transformer's and the text encoder's matrices
                                                  // are kept in; none: as they are stored

  // Whether model_index.json names a component: ["diffusers", "WanTransformer3DModel"], not [null, null].
  bool has(const std::string& component) const;
  std::filesystem::path component(const std::string& name) const { return root / name; }
  // A component's config.json (scheduler_config.json for the scheduler), and its name. Throws
  // Error{bad_input}.
  Json config(const std::string& component) const;
  std::string config_name(const std::string& component) const;
};

// Name of a component's weight files before number and ending: transformers' for the encoders of text and
// images, diffusers' for the others.
const char* weights_stem(const std::string& component);

// Throws Error{bad_input}: no such folder, no model_index.json, one of them cannot be read, unknown keys or
// bad values in t2v.json.
ModelFolder open_model_folder(const std::filesystem::path& root);

// The identity of a model, wherever its folder is: XXH3-128 over the names within the folder and the contents
// of what t2v reads there (configs, tokenizer, weights), as 32 hexadecimal digits. Nothing else in the folder
// is looked at. Where the weights are more than 64 MiB together, their files' sizes, headers and the first
// 64 KiB of each tensor stand for them: it takes a moment for a model of any size, but cannot tell two apart
// whose tensors differ only further back. Calls `between_files` before each file, which may throw to stop it.
// Throws Error{bad_input} naming a file that is missing, cannot be read, or is no safetensors file.
std::string model_hash(
    const ModelFolder& model, const std::function<void()>& between_files = [] {});

// The same of the config and the weights of one component ("vae"), its name included.
std::string component_hash(
    const ModelFolder& model, const std::string& component,
    const std::function<void()>& between_files = [] {});

}  // namespace t2v
