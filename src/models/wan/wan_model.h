// Wan and SkyReels-V2: UMT5, the Wan transformer and the Wan autoencoder.
// Source: Wan 2.1 technical report; diffusers pipeline_wan.py, WanPipeline.
#pragma once

#include <memory>

#include "models/model.h"

namespace t2v {

// Throws Error{bad_input}.
std::unique_ptr<Model> open_wan(ModelFolder folder);

}  // namespace t2v
