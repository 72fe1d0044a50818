// A trained model as it is carried from one machine to another.
#pragma once

#include <cstdint>
#include <filesystem>

namespace t2v {

// Copies a model folder with its weights as they are stored, in files of at most so many bytes (but for a
// tensor that is larger by itself), which any diffusers folder may have. A model in `to` is replaced when
// the new one is complete. Throws Error{output}, Error{bad_input}.
void export_model(const std::filesystem::path& from, const std::filesystem::path& to, int64_t file_bytes);

}  // namespace t2v
