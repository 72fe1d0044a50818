#include "weights/lora.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "t2v/error.h"
#include "weights/shape_text.h"

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

int64_t numbers_in(const std::vector<int64_t>& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;  // whatever the other sides are
  int64_t count = 1;
  for (const auto side : shape) count *= side;
  return count;
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
  std::optional<PackedMatrix> read_float8(const std::string& name) const override {
    return changes_.contains(name) ? std::nullopt : source_->read_float8(name);
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
      check_rank(change);
      const auto& keys = change.keys;
      if (keys.contains(Part::down) != keys.contains(Part::up))
        throw Error(ErrorKind::bad_input, lora.file.string() + ": has only one half of '" +
                                              keys.begin()->second + "'; lora_up and lora_down go together");
      const bool alone = source_->find(layer).has_value();  // a parameter that is no layer's weight
      if (keys.contains(Part::down) || keys.contains(Part::diff))
        add_change(alone ? layer : layer + ".weight", change);
      if (keys.contains(Part::diff_bias)) add_change(layer + ".bias", change);
    }
  }

  void add_change(const std::string& name, const Change& change) {
    if (const auto weight = source_->find(name)) check_fit(change, name, weight->shape);
    changes_[name].push_back(change);
  }

  static std::vector<int64_t> shape_of(const Change& change, Part part) {
    return change.file->find(change.keys.at(part))->shape;
  }

  // The two halves agree, and alpha is a number. By shapes alone, so that it takes no time.
  static void check_rank(const Change& change) {
    if (change.keys.contains(Part::alpha) && numbers_in(shape_of(change, Part::alpha)) != 1)
      refuse(change, Part::alpha,
             "is " + shape_text(shape_of(change, Part::alpha)) + "; it should be a number");
    if (!change.keys.contains(Part::down) || !change.keys.contains(Part::up)) return;
    const auto down = shape_of(change, Part::down), up = shape_of(change, Part::up);
    if (down.size() < 2 || up.size() < 2 || down[0] == 0 || up[0] == 0 || numbers_in(up) / up[0] != down[0])
      refuse(change, Part::down,
             "is " + shape_text(down) + ", and '" + change.keys.at(Part::up) + "' is " + shape_text(up) +
                 ": halves of one change have one rank, [rank, in] and [out, rank]");
  }

  static void check_fit(const Change& change, const std::string& name, const std::vector<int64_t>& weight) {
    const auto wanted = numbers_in(weight);
    const auto misfit = [&](Part part) {
      refuse(change, part,
             "is " + shape_text(shape_of(change, part)) + ", which does not fit '" + name + "' of " +
                 shape_text(weight) + "; it is a LoRA of a model of another size");
    };
    if (name.ends_with(".bias")) {
      if (numbers_in(shape_of(change, Part::diff_bias)) != wanted) misfit(Part::diff_bias);
      return;
    }
    if (change.keys.contains(Part::diff) && numbers_in(shape_of(change, Part::diff)) != wanted)
      misfit(Part::diff);
    if (!change.keys.contains(Part::down)) return;
    const auto down = shape_of(change, Part::down), up = shape_of(change, Part::up);
    if (weight.empty() || up[0] != weight[0]) misfit(Part::up);
    if (numbers_in(down) / down[0] != wanted / weight[0]) misfit(Part::down);
  }

  [[noreturn]] static void refuse(const Change& change, Part part, const std::string& what) {
    throw Error(ErrorKind::bad_input, change.file->where() + ": '" + change.keys.at(part) + "' " + what);
  }

  at::Tensor part(const Change& change, Part part) const {
    return change.file->read(change.keys.at(part)).to(at::kFloat);
  }

  at::Tensor addition(const Change& change, const std::string& name, const at::Tensor& weight) const {
    if (name.ends_with(".bias")) return scaled(change, Part::diff_bias, weight);
    auto sum = at::zeros_like(weight);
    if (change.keys.contains(Part::diff)) sum = sum + scaled(change, Part::diff, weight);
    if (!change.keys.contains(Part::down)) return sum;
    const auto down = part(change, Part::down), up = part(change, Part::up);
    const auto rank = static_cast<double>(down.size(0));
    double factor = change.scale;
    if (change.keys.contains(Part::alpha)) factor *= part(change, Part::alpha).item<double>() / rank;
    return sum + factor * at::mm(up.flatten(1), down.flatten(1)).view(weight.sizes());
  }

  at::Tensor scaled(const Change& change, Part which, const at::Tensor& weight) const {
    return change.scale * part(change, which).view(weight.sizes());
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

std::optional<LoraKey> lora_key(const std::string& name) {
  const auto part = part_of(name);
  if (!part || part->second == Part::alpha) return std::nullopt;
  return LoraKey{part->first, part->second == Part::down};
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
