// Formats of weights that files have and t2v does not read, so that they are refused by name.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "weights/tensor_source.h"

namespace t2v {

// What a file's weights are stored in, and where that is seen, where t2v does not read it: "nvfp4
// ('blocks.0.ffn.0.comfy_quant')". By names and dtypes, and the few bytes of ComfyUI's tensors
// "X.comfy_quant".
std::optional<std::string> unread_format(const TensorSource& file);
// Throws Error{bad_input} that says what to use instead.
void require_read_format(const TensorSource& file);

// Throws Error{bad_input} for a pickled file (.pth, .bin, …), by its ending or its first bytes.
void require_no_pickle(const std::filesystem::path& path);

}  // namespace t2v
