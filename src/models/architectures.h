// Configs of published models, for those who have no files of them: to measure with random weights.
#pragma once

#include <string>
#include <vector>

#include "weights/model_folder.h"

namespace t2v {

std::vector<std::string> architecture_names();

// A model folder that is nowhere: its configs alone, without weights and tokenizer. Latents are not
// normalised. Throws Error{usage} for a name that is none.
ModelFolder architecture_folder(const std::string& name);

}  // namespace t2v
