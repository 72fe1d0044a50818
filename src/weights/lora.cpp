#include "weights/lora.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "t2v/error.h"

namespace t2v {

namespace {

enum class Part { down, up, alpha, diff, diff_bias };

// "X.lora_down.weight" → {X, down}
std::optional<std::pair<std::string, Part>> part_of(const std::string& key) {
  static const std::vector<std::pair<std::string, Part>> endings = {{".lora_down.weight", Part::down},
                                                                    {".lora_A.weight", Part::down},
                                                                    {".lora_A.default.weight", Part::down},
                                                                    {".lora_up.weight", Part::up},
                                                                    {".lora_B.weight", Part::up},
                                                                    {".lora_B.default.weight", Part::up},
                                                                    {".alpha", Part::alpha},
                                                                    {".diff", Part::diff},
                                                                    {".diff_b", Part::diff_bias}};
  for (const auto& [ending, part] : endings)
    if (key.ends_with(ending)) return std::pair(key.substr(0, key.size() - ending.size()), part);
  return std::nullopt;
}

std::string with_underscores(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const auto side : shape) text += (text.size() == 1 ? "" : ", ") + std::to_string(side);
  return text + "]";
}

// What one file has for one layer: the key of each part.
struct Change {
  std::shared_ptr<const TensorSource> file;
  double scale = 1;
  std::map<Part, std::string> keys;
};

class WithLoras : public TensorSource {
 public:
  WithLoras(std::shared_ptr<const TensorSource> source, const std::vector<Lora>& loras,
            const LayerNames& names)
      : source_(std::move(source)) {
    for (const auto& lora : loras) add(lora, names);
  }

  std::string where() const override { return source_->where(); }
  std::vector<std::string> names() const override { return source_->names(); }
  std::optional<TensorInfo> find(const std::string& name) const override {
    auto info = source_->find(name);
    if (info && changes_.contains(name)) info->dtype = "F32";
    return info;
  }
  at::Tensor read(const std::string& name) const override {
    auto tensor = source_->read(name);
    const auto found = changes_.find(name);
    if (found == changes_.end()) return tensor;
    auto changed = tensor.to(at::kFloat);
    for (const auto& change : found->second) changed = changed + addition(change, name, changed);
    return changed;
  }
  std::optional<PackedMatrix> read_packed(const std::string& name) const override {
    return changes_.contains(name) ? std::nullopt : source_->read_packed(name);
  }
  std::optional<int64_t> packed_bytes(const std::string& name) const override {
    return changes_.contains(name) ? std::nullopt : source_->packed_bytes(name);
  }

 private:
  void add(const Lora& lora, const LayerNames& names) {
    const auto file = open_weight_file(lora.file);
    std::map<std::string, Change> of_layer;
    for (const auto& key : file->names()) {
      const auto part = part_of(key);
      const auto layer = part ? names.find(part->first) : names.end();
      if (layer == names.end()) continue;
      auto& change = of_layer[layer->second];
      change.file = file;
      change.scale = lora.scale;
      change.keys[part->second] = key;
    }
    if (of_layer.empty())
      throw Error(ErrorKind::bad_input,
                  lora.file.string() + ": none of its " + std::to_string(file->names().size()) +
                      " tensors belongs to a layer of this model; it is a LoRA of another one");
    for (const auto& [layer, change] : of_layer) {
      const auto& keys = change.keys;
      if (keys.contains(Part::down) != keys.contains(Part::up))
        throw Error(ErrorKind::bad_input, lora.file.string() + ": has only one half of '" +
                                              keys.begin()->second + "'; lora_up and lora_down go together");
      const bool alone = source_->find(layer).has_value();  // a parameter that is no layer's weight
      if (keys.contains(Part::down) || keys.contains(Part::diff))
        changes_[alone ? layer : layer + ".weight"].push_back(change);
      if (keys.contains(Part::diff_bias)) changes_[layer + ".bias"].push_back(change);
    }
  }

  at::Tensor part(const Change& change, Part part) const {
    return change.file->read(change.keys.at(part)).to(at::kFloat);
  }

  [[noreturn]] static void refuse(const Change& change, Part part, const at::Tensor& found,
                                  const at::Tensor& wanted) {
    throw Error(ErrorKind::bad_input, change.file->where() + ": '" + change.keys.at(part) + "' is " +
                                          shape_text(found.sizes().vec()) +
                                          ", which does not fit a weight of " +
                                          shape_text(wanted.sizes().vec()));
  }

  at::Tensor addition(const Change& change, const std::string& name, const at::Tensor& weight) const {
    if (name.ends_with(".bias")) return scaled(change, Part::diff_bias, weight);
    auto sum = at::zeros_like(weight);
    if (change.keys.contains(Part::diff)) sum = sum + scaled(change, Part::diff, weight);
    if (!change.keys.contains(Part::down)) return sum;
    const auto down = part(change, Part::down), up = part(change, Part::up);
    if (down.dim() < 2 || up.dim() < 2 || up.flatten(1).size(1) != down.size(0) ||
        up.size(0) * down.flatten(1).size(1) != weight.numel())
      refuse(change, Part::down, down, weight);
    const auto rank = static_cast<double>(down.size(0));
    double factor = change.scale;
    if (change.keys.contains(Part::alpha)) factor *= part(change, Part::alpha).item<double>() / rank;
    return sum + factor * at::mm(up.flatten(1), down.flatten(1)).view(weight.sizes());
  }

  at::Tensor scaled(const Change& change, Part which, const at::Tensor& weight) const {
    const auto diff = part(change, which);
    if (diff.numel() != weight.numel()) refuse(change, which, diff, weight);
    return change.scale * diff.view(weight.sizes());
  }

  std::shared_ptr<const TensorSource> source_;
  std::map<std::string, std::vector<Change>> changes_;  // by tensor
};

}  // namespace

Lora parse_lora(const std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || text.find('/', colon) != std::string::npos)
    return {text, 1};
  double scale = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, scale);
  if (error != std::errc() || rest != end || !std::isfinite(scale))
    throw Error(ErrorKind::usage, "--lora '" + text + "' should be FILE or FILE:SCALE, the scale a number");
  return {text.substr(0, colon), scale};
}

void add_layer_names(LayerNames& names, const std::string& layer, const std::string& original) {
  for (const auto& name : {layer, original}) {
    for (const char* prefix : {"", "diffusion_model.", "model.diffusion_model.", "transformer."})
      names.emplace(prefix + name, layer);
    for (const char* prefix : {"lora_unet_", "lora_unet__", "lora_transformer_"})
      names.emplace(prefix + with_underscores(name), layer);
  }
}

std::shared_ptr<const TensorSource> add_loras(std::shared_ptr<const TensorSource> source,
                                              const std::vector<Lora>& loras, const LayerNames& names) {
  if (loras.empty()) return source;
  return std::make_shared<WithLoras>(std::move(source), loras, names);
}

std::vector<std::string> unused_keys(const Lora& lora, const LayerNames& names) {
  std::vector<std::string> unused;
  for (const auto& key : open_weight_file(lora.file)->names()) {
    const auto part = part_of(key);
    if (!part || !names.contains(part->first)) unused.push_back(key);
  }
  return unused;
}

}  // namespace t2v
