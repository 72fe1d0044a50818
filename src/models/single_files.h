// Models from single files, without a folder: one file a component, whose configs their shapes give.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "models/file_kind.h"
#include "weights/model_folder.h"

namespace t2v {

// "transformer_2" → "--transformer-2"
std::string flag_of_component(const std::string& component);

// What a file is that was given for a component. Throws Error{bad_input} for one that is of another
// component.
FileKind kind_of_given(const std::string& component, const std::filesystem::path& file,
                       bool two_experts = false);

// files: by component, the transformer among them; "tokenizer" may be there. Throws Error{bad_input} with
// what is missing, and where a file is not what it was given for.
ModelFolder assemble_model(const std::map<std::string, std::filesystem::path>& files);

// Throws Error{bad_input} where the names of two experts' files say that they are swapped.
void require_order(const std::map<std::string, std::filesystem::path>& files);

}  // namespace t2v
