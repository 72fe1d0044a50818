// CogVideoX, text to video (2B, 5B and 1.5): T5 v1.1, the CogVideoX transformer and its autoencoder.
#pragma once

#include <memory>

#include "models/model.h"

namespace t2v {

// Throws Error{bad_input} when a config is bad, contradicts another one, or asks for what t2v does not have.
std::unique_ptr<Model> open_cogvideox(ModelFolder folder);

}  // namespace t2v
