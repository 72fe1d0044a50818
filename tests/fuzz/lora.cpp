// A file of tensors as a LoRA of a small network, and what t2v makes of it as a file of weights.
#include "weights/lora.h"

#include <ATen/ATen.h>

#include "input.h"
#include "models/file_kind.h"
#include "weights/unread_formats.h"

namespace {

using namespace t2v;

// Two layers, and a parameter that is no layer's weight.
class SmallNetwork : public TensorSource {
 public:
  std::string where() const override { return "network"; }
  std::vector<std::string> names() const override {
    return {"blocks.0.attn1.to_q.weight", "blocks.0.attn1.to_q.bias", "blocks.0.scale_shift_table",
            "patch_embedding.weight"};
  }
  std::optional<TensorInfo> find(const std::string& name) const override {
    for (const auto& known : names())
      if (name == known) return TensorInfo{"F32", shape_of(name)};
    return std::nullopt;
  }
  at::Tensor read(const std::string& name) const override { return at::ones(shape_of(name)); }

 private:
  static std::vector<int64_t> shape_of(const std::string& name) {
    if (name == "patch_embedding.weight") return {4, 2, 1, 2, 2};
    if (name == "blocks.0.scale_shift_table") return {1, 6, 4};
    return name.ends_with(".bias") ? std::vector<int64_t>{4} : std::vector<int64_t>{4, 4};
  }
};

LayerNames layer_names() {
  LayerNames names;
  add_layer_names(names, "blocks.0.attn1.to_q", "blocks.0.self_attn.q");
  add_layer_names(names, "blocks.0.scale_shift_table", "blocks.0.modulation");
  add_layer_names(names, "patch_embedding", "patch_embedding");
  return names;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  static const auto network = std::make_shared<SmallNetwork>();
  static const auto names = layer_names();
  const fuzz::MemoryFile input(data, size);
  fuzz::accepts([&] { parse_lora(fuzz::text_of(data, size)); });
  fuzz::accepts([&] { lora_key(fuzz::text_of(data, size)); });
  fuzz::accepts([&] { unused_keys({input.path(), 1}, names); });
  fuzz::accepts([&] { unread_format(*open_weight_file(input.path())); });
  fuzz::accepts([&] { kind_of_file(open_weight_file(input.path()), "high_noise_14b"); });
  fuzz::accepts([&] {
    const auto changed = add_loras(network, {{input.path(), 0.5}}, names);
    for (const auto& name : changed->names()) fuzz::accepts([&] { changed->read(name); });
  });
  return 0;
}
