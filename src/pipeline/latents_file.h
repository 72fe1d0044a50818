// Latents on disk: a safetensors file whose tensor "latents" is [1, C, T, H, W] in the sampler's space, as
// the reference pipeline's output_type="latent". Its metadata holds their provenance (see provenance.h) under
// "t2v", where t2v has written it.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "weights/model_folder.h"

namespace t2v {

// float32 [C, T, H, W] on the CPU. shape: [1, C, T, H, W] that it must have; -1 for any size. Throws
// Error{bad_input}.
at::Tensor read_latents(const std::filesystem::path& path, const std::vector<int64_t>& shape);

// What the file says about its making; an empty object where that is nothing. Throws Error{bad_input}.
Json read_provenance(const std::filesystem::path& path);

// Throws Error{bad_input} where the latents are of another autoencoder than the model's. What does not say
// which it is of passes.
void require_autoencoder(const std::filesystem::path& path, const Json& provenance, const ModelFolder& model);

// Where the latents of a clip are kept whose file could not be written.
std::filesystem::path kept_latents_path(const std::string& output);

// Throws Error{usage} naming the flag unless the name ends in .safetensors.
void check_latents_name(const std::filesystem::path& path, const std::string& flag);

// latents [C, T, H, W]; provenance may be empty. Throws Error{output}.
void save_latents(const std::filesystem::path& path, const at::Tensor& latents, const Json& provenance);

}  // namespace t2v
