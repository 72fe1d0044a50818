// Configs of Wan's components from the shapes of their tensors, for files that come without one.
#pragma once

#include <optional>

#include "base/json.h"
#include "weights/tensor_source.h"

namespace t2v {

// Each is what the config.json of a model folder would hold; none where the file has other tensors. Values
// may be out of range: they are checked where configs are read.
struct ConfigFromShapes {
  Json config;
  std::string refusal;  // why there is no config, of a file that is recognised all the same
};
std::optional<ConfigFromShapes> wan_transformer_from_shapes(const TensorSource& file);
std::optional<ConfigFromShapes> wan_vae_from_shapes(const TensorSource& file);
std::optional<ConfigFromShapes> t5_from_shapes(const TensorSource& file);
std::optional<ConfigFromShapes> clip_vision_from_shapes(const TensorSource& file);
// preprocessor_config.json of Wan's image encoder.
Json clip_vision_processor(int64_t image_size);

}  // namespace t2v
