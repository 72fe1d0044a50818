// LoRAs: low-rank changes of weights, in files of their own. Hu et al. 2021.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weights/tensor_source.h"

namespace t2v {

struct Lora {
  std::filesystem::path file;
  double scale = 1;
};

// "FILE" or "FILE:SCALE". Throws Error{usage} for a scale that is no number.
Lora parse_lora(const std::string& text);

// A layer by all the names that LoRA files have for it → its name in the model, without ".weight".
using LayerNames = std::map<std::string, std::string>;

// Names under which a file may have a layer: its own and the family's original one, with the usual prefixes
// ("diffusion_model.", "transformer."), and kohya's ("lora_unet_", underscores).
void add_layer_names(LayerNames& names, const std::string& layer, const std::string& original);

// The tensors of `source` with what the LoRAs add: scale · (alpha / rank) · up · down, and "diff", "diff_b",
// in float32. Throws Error{bad_input} for a file in which nothing fits, for a half without its other one, and
// for shapes that do not fit.
std::shared_ptr<const TensorSource> add_loras(std::shared_ptr<const TensorSource> source,
                                              const std::vector<Lora>& loras, const LayerNames& names);

// What the name of a tensor says where it is one of a LoRA: its layer, and whether it is the first half,
// [rank, in]. A name that ends with "alpha" alone is none.
struct LoraKey {
  std::string layer;
  bool is_down = false;
};
std::optional<LoraKey> lora_key(const std::string& name);

// What of a LoRA file fits no layer, for a note.
std::vector<std::string> unused_keys(const Lora& lora, const LayerNames& names);

}  // namespace t2v
