// A model on disk: Hugging Face diffusers layout (model_index.json and component folders), with an optional
// t2v.json of defaults beside it.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace t2v {

// What t2v.json may hold. Absent fields keep the family's defaults.
struct ModelDefaults {
  std::optional<int64_t> width, height, frames, steps, max_text_tokens;
  std::optional<double> fps, guidance_scale, guidance_rescale;
  std::optional<std::string> scheduler, negative_prompt, licence, card;
  std::vector<std::array<int64_t, 2>> sizes;  // trained {width, height}
  std::vector<std::string> words;    // all that the model was trained on, where they are few: others mean
                                     // nothing to it
  bool per_frame_timesteps = false;  // trained with a noise level per latent frame, and with known first
                                     // frames: long clips are made in windows
  std::optional<int64_t> window, overlap, context_noise;  // of long clips: frames, frames, timestep
};

// The same as JSON. Throws Error{bad_input} for unknown keys, with the nearest known one, and bad values.
ModelDefaults parse_defaults(const Json& json, const std::string& where);

struct ModelFolder {
  std::filesystem::path root;
  std::string pipeline_class;  // "WanPipeline"
  Json index;                  // model_index.json
  ModelDefaults defaults;

  std::filesystem::path component(const std::string& name) const { return root / name; }
  // A component's config.json (scheduler_config.json for the scheduler). Throws Error{bad_input}.
  Json config(const std::string& component) const;
};

// Name of a component's weight files before number and ending: transformers' for the text encoder, diffusers'
// for the others.
const char* weights_stem(const std::string& component);

// Throws Error{bad_input}: no such folder, no model_index.json, unknown keys or bad values in t2v.json.
ModelFolder open_model_folder(const std::filesystem::path& root);

// XXH3-128 over the names and contents of all weight, config and tokenizer files, as 32 hexadecimal digits:
// tells two models apart.
std::string model_hash(const ModelFolder& model);

}  // namespace t2v
