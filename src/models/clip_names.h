// Image encoders as open_clip names them, in the files of Wan's own checkpoints.
#pragma once

#include <memory>

#include "weights/tensor_source.h"

namespace t2v {

// Under the names of transformers, with query, key and value apart; what else is in the file (its text
// encoder, its head) is left out. Other files are returned as they are. Source: Wan 2.1, wan/modules/clip.py,
// VisionTransformer.
std::shared_ptr<const TensorSource> with_clip_names(std::shared_ptr<const TensorSource> file);

}  // namespace t2v
