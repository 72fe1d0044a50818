// Writing a diffusers folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "train/loop/parameters.h"
#include "train/tasks/vae_task.h"

namespace t2v {

// Copies configs and tokenizer of a model folder, without weights, cards and t2v.json. Throws Error{output},
// Error{bad_input}.
void copy_architecture(const std::filesystem::path& from, const std::filesystem::path& to);

// t2v.json, atomically.
void write_defaults(const std::filesystem::path& model, const Json& defaults);

// The words that the model knows, in t2v.json, atomically; no such list when there are none.
void write_words(const std::filesystem::path& model, const std::vector<std::string>& words);

constexpr const char* per_frame_timesteps = "per_frame_timesteps";

// Says in t2v.json whether the denoiser was trained with noise levels per latent frame, atomically.
void write_per_frame_timesteps(const std::filesystem::path& model, bool trained);

// Sets vocab_size in text_encoder/config.json, atomically.
void write_vocab_size(const std::filesystem::path& model, int64_t vocab_size);

// A component's config.json, atomically.
void write_config(const std::filesystem::path& model, const std::string& component, const Json& config);

// The weights of one component in a dtype, atomically. Throws Error{output}, and Error{non_finite} for those
// that half precision does not hold.
void write_component(const std::filesystem::path& model, const std::string& component,
                     const ParameterSet& parameters, at::ScalarType dtype);

// Sets latents_mean and latents_std in vae/config.json, atomically.
void write_latent_statistics(const std::filesystem::path& model, const LatentStatistics& statistics);

}  // namespace t2v
