// What t2v info says of a file of weights.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace t2v {

// A safetensors or GGUF file: what it is, and with `all` its tensors, which are there in any case where it is
// nothing known. Throws Error{bad_input}.
nlohmann::ordered_json describe_weights(const std::filesystem::path& path, bool all);

// The settings that t2v stores with a clip or its latents, or what another program has put there as it is.
nlohmann::ordered_json parsed_comment(const std::string& comment);

}  // namespace t2v
