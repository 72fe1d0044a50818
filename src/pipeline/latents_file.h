// Latents on disk: a safetensors file whose tensor "latents" is [1, C, T, H, W] in the sampler's space, as
// the reference pipeline's output_type="latent".
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace t2v {

// float32 [C, T, H, W] on the CPU. shape: [1, C, T, H, W] that it must have; -1 for any size. Throws
// Error{bad_input}.
at::Tensor read_latents(const std::filesystem::path& path, const std::vector<int64_t>& shape);

// Where the latents of a clip are kept whose file could not be written.
std::filesystem::path kept_latents_path(const std::string& output);

// Throws Error{usage} naming the flag unless the name ends in .safetensors.
void check_latents_name(const std::filesystem::path& path, const std::string& flag);

// latents [C, T, H, W]. Throws Error{output}.
void save_latents(const std::filesystem::path& path, const at::Tensor& latents,
                  const std::map<std::string, std::string>& metadata);

}  // namespace t2v
