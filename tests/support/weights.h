// Networks for tests, on their device: weights given as tensors, and the components of the random model
// tests/golden/wan-tiny.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "device.h"
#include "paths.h"
#include "weights/weights.h"

namespace t2v::test {

inline Weights weights_of(const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  const TemporaryFolder folder;  // the mapping outlives the file's name
  save_safetensors(folder / "model.safetensors", tensors);
  return Weights::open(folder.path(), "model", device(), at::kFloat);
}

inline Json tiny_config(const std::string& component) {
  return read_json(golden("wan-tiny") / component / "config.json");
}

inline Weights tiny_weights(const std::string& component) {
  return Weights::open(golden("wan-tiny") / component,
                       component == "text_encoder" ? "model" : "diffusion_pytorch_model", device(),
                       at::kFloat);
}

}  // namespace t2v::test
