#include "models/model.h"

#include <ATen/ATen.h>

#include <c10/util/accumulate.h>

#include <algorithm>

#include "models/clip_names.h"
#include "models/encoders/t5_encoder.h"
#include "models/encoders/t5_gguf.h"
#include "models/expert_denoiser.h"
#include "models/tensor_names.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// What the family says where t2v.json says nothing; a size has two sides.
ModelDefaults with_family_defaults(ModelDefaults defaults, const ModelDefaults& family) {
  auto settings = family.settings;
  for (const auto& [key, value] : defaults.settings.items())
    if (!value.is_null()) settings[key] = value;
  if (!defaults.settings.contains("width") || !defaults.settings.contains("height"))
    for (const char* side : {"width", "height"}) settings[side] = family.settings.at(side);
  defaults.settings = std::move(settings);
  if (!defaults.max_text_tokens) defaults.max_text_tokens = family.max_text_tokens;
  defaults.per_frame_timesteps = defaults.per_frame_timesteps || family.per_frame_timesteps;
  return defaults;
}

Weights open_weights(const Model& model, const std::string& component, Placement placement) {
  auto weights = Weights::open(weights_of(model, component), placement.device, placement.dtype);
  if (placement.by_block) weights.keep_by_block();
  return weights;
}

TensorShapes shapes_of(const Model& model, const std::string& component) {
  return component.starts_with("transformer") ? denoiser_shapes(model)
         : component == "vae"                 ? vae_shapes(model)
         : component == "image_encoder"       ? image_encoder_shapes(model)
                                              : text_encoder_shapes(model);
}

// A file's names → the network's, where a file has those of the family's original checkpoints, or an encoder
// those of llama.cpp.
std::map<std::string, std::string> renamed(const Model& model, const std::string& component,
                                           const TensorSource& file) {
  std::map<std::string, std::string> names;
  for (const auto& [name, shape] : shapes_of(model, component))
    if (const auto key = name_in_file(file, {name, model.original_name(component, name), gguf_t5_name(name)});
        key && *key != name)
      names.emplace(*key, name);
  // A text encoder may have its tokenizer beside its weights.
  if (component == "text_encoder" && file.find(embedded_tokenizer)) names[embedded_tokenizer] = "";
  return names;
}

PackedSize packed_size(const TensorSource& source) {
  PackedSize size;
  for (const auto& name : source.names()) {
    const auto bytes = source.packed_bytes(name);
    if (!bytes) continue;
    const auto shape = source.find(name)->shape;
    const auto numbers = shape[0] * shape[1];
    size.numbers += numbers;
    size.bytes += *bytes;
    const bool is_embedding = name == "shared.weight" || name == "encoder.embed_tokens.weight";
    if (!is_embedding) size.largest = std::max(size.largest, numbers);
  }
  return size;
}

// "blocks.3.attn1.to_q.weight" → "blocks.3"; empty for what is outside of all blocks.
std::string block_name(const std::string& name) {
  for (std::size_t begin = 0, end; (end = name.find('.', begin)) != std::string::npos; begin = end + 1)
    if (end > begin && name.find_first_not_of("0123456789", begin) >= end) return name.substr(0, end);
  return "";
}

BlockShares block_shares(const TensorSource& source) {
  std::map<std::string, WeightShare> blocks;
  for (const auto& name : source.names()) {
    auto& share = blocks[block_name(name)];
    if (const auto bytes = source.packed_bytes(name)) {
      share.packed_bytes += *bytes;
      continue;
    }
    share.numbers += c10::multiply_integers(source.find(name)->shape);
  }
  BlockShares shares{blocks[""], {}};
  for (const auto& [name, share] : blocks) {
    if (name.empty()) continue;
    shares.largest.numbers = std::max(shares.largest.numbers, share.numbers);
    shares.largest.packed_bytes = std::max(shares.largest.packed_bytes, share.packed_bytes);
  }
  return shares;
}

// One tokenizer and one encoder.
class SingleEncoder : public TextConditioner {
 public:
  SingleEncoder(std::shared_ptr<const Tokenizer> tokenizer, std::unique_ptr<TextEncoder> encoder,
                int64_t max_tokens, at::Device device)
      : tokenizer_(std::move(tokenizer)),
        encoder_(std::move(encoder)),
        max_tokens_(max_tokens),
        device_(device) {}

  TextStates encode(const std::string& text) const override {
    const auto tokens = tokenizer_->encode(text, static_cast<std::size_t>(max_tokens_));
    const auto states = encoder_->forward(at::tensor(tokens.ids, at::TensorOptions(at::kLong)).to(device_));
    if (!at::isfinite(states).all().item<bool>())
      throw Error(ErrorKind::non_finite,
                  "encoding the text: the embedding holds NaN or infinity. Nothing was written. Try --dtype "
                  "float32 or bfloat16, or check the weights.");
    return {{states}, max_tokens_};
  }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<TextEncoder> encoder_;
  int64_t max_tokens_;
  at::Device device_;
};

}  // namespace

Model::Model(ModelFolder folder, const ModelDefaults& family)
    : folder_(std::move(folder)), defaults_(with_family_defaults(folder_.defaults, family)) {}

std::string Model::original_name(const std::string&, const std::string& name) const { return name; }

std::unique_ptr<ImageEncoder> Model::make_image_encoder(const WeightScope&) const {
  throw Error(ErrorKind::internal, folder_.pipeline_class + " has no image encoder");
}

std::unique_ptr<Model> open_model(ModelFolder folder) {
  std::string known;
  for (const auto& family : families()) {
    if (folder.pipeline_class == family.pipeline_class) return family.open(std::move(folder));
    known += std::string(known.empty() ? "'" : ", '") + family.pipeline_class + "' (" + family.what + ")";
  }
  throw Error(ErrorKind::bad_input, (folder.root / "model_index.json").string() + ": _class_name '" +
                                        folder.pipeline_class + "' is not supported; this version runs " +
                                        known);
}

std::shared_ptr<const TensorSource> weights_of(const Model& model, const std::string& component) {
  const auto& folder = model.folder();
  const auto given = folder.given_weights.find(component);
  std::shared_ptr<const TensorSource> source;
  if (given == folder.given_weights.end()) {
    source = open_weight_folder(folder.component(component), weights_stem(component));
  } else {
    source = apply_scales(open_weight_file(given->second));
    if (component == "image_encoder") source = with_clip_names(source);
    source = rename_tensors(source, renamed(model, component, *source));
  }
  if (const auto loras = folder.loras.find(component); loras != folder.loras.end())
    source = add_loras(source, loras->second, lora_names(model));
  return folder.weights_dtype && component != "vae" ? keep_matrices(source, *folder.weights_dtype) : source;
}

LayerNames lora_names(const Model& model) {
  LayerNames names;
  for (const auto& [name, shape] : denoiser_shapes(model)) {
    const auto stem = [](const std::string& x) {
      return x.ends_with(".weight") ? x.substr(0, x.size() - 7)
             : x.ends_with(".bias") ? x.substr(0, x.size() - 5)
                                    : x;
    };
    add_layer_names(names, stem(name), stem(model.original_name("transformer", name)));
  }
  return names;
}

std::unique_ptr<TextConditioner> load_text(const Model& model, std::shared_ptr<const Tokenizer> tokenizer,
                                           Placement placement) {
  auto weights = open_weights(model, "text_encoder", placement);
  auto encoder = model.make_text_encoder(weights.root());
  weights.finish();
  return std::make_unique<SingleEncoder>(std::move(tokenizer), std::move(encoder),
                                         *model.defaults().max_text_tokens, placement.device);
}

std::unique_ptr<Denoiser> load_denoiser(const Model& model, Placement placement) {
  const auto load = [&](const char* component) {
    auto weights = open_weights(model, component, placement);
    auto network = model.make_denoiser(weights.root(), placement.device);
    weights.finish();
    return network;
  };
  auto network = load("transformer");
  const auto boundary = model.boundary_timestep();
  if (!boundary) return network;
  return std::make_unique<ExpertDenoiser>(std::move(network), load("transformer_2"), *boundary);
}

std::unique_ptr<ImageEncoder> load_image_encoder(const Model& model, Placement placement) {
  auto weights = open_weights(model, "image_encoder", placement);
  auto network = model.make_image_encoder(weights.root());
  weights.finish();
  return network;
}

std::unique_ptr<VideoVae> load_vae(const Model& model, Placement placement) {
  auto weights = open_weights(model, "vae", placement);
  auto network = model.make_vae(weights.root());
  weights.finish();
  network->set_dtype(placement.dtype);
  return network;
}

ComponentSizes component_sizes(const Model& model) {
  const auto count = [](const std::shared_ptr<const TensorSource>& source) {
    return Weights::open(source, at::kCPU, at::kFloat).element_count();
  };
  const auto text = weights_of(model, "text_encoder"), transformer = weights_of(model, "transformer");
  ComponentSizes sizes{.text_encoder = count(text),
                       .transformer = count(transformer),
                       .vae = count(weights_of(model, "vae")),
                       .packed_text_encoder = packed_size(*text),
                       .packed_transformer = packed_size(*transformer),
                       .text_encoder_blocks = block_shares(*text),
                       .transformer_blocks = block_shares(*transformer)};
  if (const auto pictures = model.picture_inputs(); pictures && pictures->are_encoded)
    sizes.image_encoder = count(weights_of(model, "image_encoder"));
  if (!model.boundary_timestep()) return sizes;
  const auto second = weights_of(model, "transformer_2");
  sizes.transformer += count(second);
  const auto packed = packed_size(*second);
  sizes.packed_transformer.numbers += packed.numbers;
  sizes.packed_transformer.bytes += packed.bytes;
  sizes.packed_transformer.largest = std::max(sizes.packed_transformer.largest, packed.largest);
  const auto outside = block_shares(*second).outside;
  sizes.transformer_blocks.outside.numbers += outside.numbers;
  sizes.transformer_blocks.outside.packed_bytes += outside.packed_bytes;
  return sizes;
}

int64_t weight_bytes(int64_t numbers, const PackedSize& packed, int64_t element) {
  return (numbers - packed.numbers) * element + packed.bytes;
}

TensorShapes text_encoder_shapes(const Model& model) {
  auto meta = Weights::meta();
  model.make_text_encoder(meta.root());
  return meta.asked();
}

TensorShapes denoiser_shapes(const Model& model) {
  auto meta = Weights::meta();
  model.make_denoiser(meta.root(), at::kMeta);
  return meta.asked();
}

TensorShapes image_encoder_shapes(const Model& model) {
  auto meta = Weights::meta();
  model.make_image_encoder(meta.root());
  return meta.asked();
}

TensorShapes vae_shapes(const Model& model) {
  auto meta = Weights::meta();
  model.make_vae(meta.root());
  return meta.asked();
}

}  // namespace t2v
