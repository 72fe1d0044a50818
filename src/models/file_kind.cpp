#include "models/file_kind.h"

#include <algorithm>
#include <cctype>

#include "models/clip_names.h"
#include "models/encoders/t5_encoder.h"
#include "models/wan/wan_shapes.h"
#include "models/wan/wan_vae.h"
#include "models/wan/wan_variants.h"
#include "t2v/error.h"
#include "weights/lora.h"

namespace t2v {

namespace {

const FileKind::Needed text_encoder_of_wan = {"text_encoder", "the text encoder UMT5-XXL"};

std::string number(int64_t value) { return std::to_string(value); }

// Whether the config can be read; what is wrong with it otherwise.
template <class Read>
std::optional<std::string> refusal_of(const Read& read) {
  try {
    read();
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

FileKind lora_kind(const TensorSource& file) {
  FileKind kind{.component = "lora", .what = "LoRA", .config = {}};
  int64_t width = 0, rank = 0, layers = 0;
  bool is_wan = false, reads_pictures = false;
  for (const auto& name : file.names()) {
    const auto key = lora_key(name);
    if (!key) continue;
    const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
    is_wan = is_wan || (has("blocks") && !has("transformer_blocks") &&
                        (has("self_attn") || has("cross_attn") || has("attn1") || has("attn2")));
    reads_pictures = reads_pictures || has("k_img") || has("add_k_proj");
    if (!key->is_down) continue;
    ++layers;
    const auto shape = file.find(name)->shape;
    if (shape.size() != 2) continue;
    rank = std::max(rank, shape[0]);
    if (has("self_attn") || has("attn1")) width = shape[1];
  }
  const std::string size = width == 1536 ? " 1.3B" : width == 3072 ? " TI2V 5B" : width == 5120 ? " 14B" : "";
  if (is_wan) kind.what += " of Wan" + size + (reads_pictures ? ", image to video" : "");
  if (width > 0) kind.what += ", " + number(width) + " wide";
  kind.what += ", " + number(layers) + " layers" + (rank > 0 ? ", rank " + number(rank) : "");
  if (is_wan && width == 5120)
    kind.notes.emplace_back("a LoRA of Wan 2.1 14B and one of Wan 2.2 A14B have the same tensors");
  kind.makes = "a change of a transformer: --lora, or --lora-2 of the second expert";
  kind.beside = {{"transformer", is_wan ? "a Wan model" + size : "the model that it is of"}};
  return kind;
}

FileKind transformer_kind(const ConfigFromShapes& shapes, const std::string& name, bool two_experts) {
  FileKind kind{.component = "transformer", .what = "Wan transformer", .config = {}};
  kind.expert = expert_in_name(name);
  const auto refuse = [&](const std::string& why) {
    kind.why_no_config = why;
    return kind;
  };
  if (!shapes.refusal.empty()) return refuse(shapes.refusal);
  WanTransformerConfig config;
  if (const auto why = refusal_of(
          [&] { config = parse_wan_transformer_config(shapes.config, "by its shapes"); }))
    return refuse(*why);
  const auto facts = wan_facts(config, two_experts || !kind.expert.empty());
  if (!facts)
    return refuse("it reads " + number(config.in_channels) + " channels and gives " +
                  number(config.out_channels) + ": a variant that t2v does not have");
  kind.config = shapes.config;
  if (facts->boundary_ratio == 0) kind.expert.clear();
  kind.what = wan_variant_name(*facts, config);
  kind.makes = facts->makes;
  if (!kind.expert.empty()) kind.what += ", the " + kind.expert + "-noise expert";
  const bool twin = config.in_channels == 16 && config.vace_layers.empty() && config.width() == 5120;
  if (twin)
    kind.notes.emplace_back(
        "Wan 2.1 T2V 14B and an expert of Wan 2.2 T2V A14B have the same tensors: the file's name alone "
        "(high_noise, low_noise) tells them apart");
  if (facts->boundary_ratio > 0)
    kind.beside.push_back({kind.expert == "low" ? "transformer" : "transformer_2",
                           kind.expert == "low" ? "the high-noise expert" : "the low-noise expert"});
  kind.beside.push_back({"vae", config.out_channels == 48 ? "the autoencoder of Wan 2.2 TI2V, of 48 channels"
                                                          : "the autoencoder of Wan 2.1, of 16 channels"});
  kind.beside.push_back(text_encoder_of_wan);
  if (config.image_dim > 0) kind.beside.push_back({"image_encoder", "the image encoder CLIP ViT-H/14"});
  return kind;
}

FileKind vae_kind(const ConfigFromShapes& shapes) {
  FileKind kind{.component = "vae", .what = "Wan autoencoder", .config = {}};
  kind.why_no_config = shapes.refusal;
  if (!shapes.refusal.empty()) return kind;
  if (const auto why = refusal_of([&] { parse_wan_vae_config(shapes.config, "by its shapes"); })) {
    kind.why_no_config = *why;
    return kind;
  }
  kind.config = shapes.config;
  const auto channels = shapes.config.at("z_dim").get<int64_t>();
  kind.what = channels == 48 ? "autoencoder of Wan 2.2 TI2V, 48 channels"
                             : "autoencoder of Wan 2.1, 16 channels";
  kind.makes = "latents of frames, and frames of latents";
  kind.beside = {{"transformer", channels == 48 ? "Wan 2.2 TI2V 5B" : "any Wan but 2.2 TI2V 5B"},
                 text_encoder_of_wan};
  return kind;
}

FileKind text_encoder_kind(const ConfigFromShapes& shapes) {
  FileKind kind{.component = "text_encoder", .what = "T5 encoder", .config = {}};
  if (const auto why = refusal_of([&] { parse_umt5_config(shapes.config, "by its shapes"); })) {
    kind.why_no_config = *why;
    return kind;
  }
  kind.config = shapes.config;
  const bool is_umt5 = shapes.config.at("model_type") == "umt5";
  kind.what = std::string(is_umt5 ? "UMT5" : "T5") + " encoder, " + shapes.config.at("num_layers").dump() +
              " layers, " + shapes.config.at("d_model").dump() + " wide, vocabulary " +
              shapes.config.at("vocab_size").dump();
  kind.makes = "states of a text";
  kind.beside = {{"transformer", is_umt5 ? "a Wan" : "a model that reads T5 (CogVideoX)"},
                 {"vae", "its autoencoder"}};
  return kind;
}

FileKind image_encoder_kind(const ConfigFromShapes& shapes) {
  FileKind kind{.component = "image_encoder", .what = "CLIP vision encoder", .config = {}};
  kind.why_no_config = shapes.refusal;
  if (!shapes.refusal.empty()) return kind;
  kind.config = shapes.config;
  kind.what += ", " + shapes.config.at("num_hidden_layers").dump() + " layers, " +
               shapes.config.at("hidden_size").dump() + " wide, pictures of " +
               shapes.config.at("image_size").dump();
  kind.makes = "states of a picture";
  kind.beside = {{"transformer", "a Wan 2.1 that reads pictures (I2V, FLF2V)"}};
  return kind;
}

}  // namespace

std::string expert_in_name(const std::string& name) {
  std::vector<std::string> words(1);
  for (const unsigned char c : name) {
    if (std::isalnum(c))
      words.back() += static_cast<char>(std::tolower(c));
    else
      words.emplace_back();
  }
  const auto has = [&](const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  const bool is_expert = has("noise") || has("14b") || has("a14b");
  for (const std::string side : {"high", "low"})
    if (has(side + "noise") || (has(side) && is_expert)) return side;
  return "";
}

FileKind kind_of_file(const std::shared_ptr<const TensorSource>& file, const std::string& name,
                      bool two_experts) {
  for (const auto& key : file->names())
    if (lora_key(key)) return lora_kind(*file);
  if (const auto shapes = wan_transformer_from_shapes(*file))
    return transformer_kind(*shapes, name, two_experts);
  if (const auto shapes = wan_vae_from_shapes(*file)) return vae_kind(*shapes);
  if (const auto shapes = t5_from_shapes(*file)) return text_encoder_kind(*shapes);
  if (const auto shapes = clip_vision_from_shapes(*with_clip_names(file))) return image_encoder_kind(*shapes);
  return {};
}

std::optional<std::string> misfit(const FileKind& transformer, const FileKind& other) {
  const auto differ = [&](const char* key, const char* other_key, const char* what) {
    const auto wanted = transformer.config->value(key, Json()),
               found = other.config->value(other_key, Json());
    return wanted == found ? std::nullopt
                           : std::optional("the transformer wants " + std::string(what) + " " +
                                           wanted.dump() + ", this one has " + found.dump());
  };
  if (other.component == "vae") return differ("out_channels", "z_dim", "latents of channels:");
  if (other.component == "image_encoder")
    return differ("image_dim", "hidden_size", "states of pictures of width");
  if (other.component == "text_encoder") {
    if (other.config->at("model_type") != "umt5") return "the transformer wants UMT5, this is T5";
    return differ("text_dim", "d_model", "states of text of width");
  }
  if (other.component == "transformer" && *other.config != *transformer.config)
    return "the experts are two transformers of one shape; the other one is " + transformer.what;
  return std::nullopt;
}

}  // namespace t2v
