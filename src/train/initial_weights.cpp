#include "train/initial_weights.h"

#include <ATen/ATen.h>

#include <map>
#include <string_view>

#include "t2v/error.h"

namespace t2v {

namespace {

// Channels 3·p·p in `dim` → 3·(k·p)·(k·p), in the order of the autoencoder's folding (colour, column, row):
// each repeated k x k times.
at::Tensor repeat_folded(const at::Tensor& x, int64_t dim, int64_t patch, int64_t k) {
  return x.unflatten(dim, {3, patch, patch})
      .repeat_interleave(k, dim + 1)
      .repeat_interleave(k, dim + 2)
      .flatten(dim, dim + 2);
}

// "blocks.3.attn1.to_q.weight" → {3, "attn1.to_q.weight"}; {-1, name} of what belongs to no block.
std::pair<int64_t, std::string> block_of(const std::string& name) {
  constexpr std::string_view prefix = "blocks.";
  if (!name.starts_with(prefix)) return {-1, name};
  const auto dot = name.find('.', prefix.size());
  return {std::stoll(name.substr(prefix.size(), dot - prefix.size())), name.substr(dot + 1)};
}

// The layers through which a block adds to the tokens.
bool is_block_output(const std::string& name) {
  return name.starts_with("attn1.to_out.") || name.starts_with("attn2.to_out.") ||
         name.starts_with("ffn.net.2.");
}

}  // namespace

ParameterShapes vae_parameters(const WanVaeConfig& config) {
  auto meta = Weights::meta();
  const WanVae network(config, meta.root());
  return meta.asked();
}

ParameterShapes transformer_parameters(const WanTransformerConfig& config) {
  auto meta = Weights::meta();
  const WanTransformer network(config, meta.root(), at::kMeta);
  return meta.asked();
}

ParameterShapes text_parameters(const Umt5Config& config) {
  auto meta = Weights::meta();
  const Umt5Encoder network(config, meta.root());
  return meta.asked();
}

ParameterSet vae_for(const WanVaeConfig& config, const ModelFolder& begin_from) {
  auto same = config;
  same.patch_size = read_model_configs(begin_from).vae.patch_size;
  same.in_channels = same.out_channels = 3 * same.patch_size * same.patch_size;
  const int64_t k = config.patch_size / same.patch_size;
  if (k * same.patch_size != config.patch_size)
    throw Error(ErrorKind::bad_input,
                begin_from.component("vae").string() + ": its 'patch_size' is " +
                    std::to_string(same.patch_size) +
                    "; an autoencoder that goes on from it should have a multiple of that, found " +
                    std::to_string(config.patch_size));
  const auto loaded = ParameterSet::load(vae_parameters(same), begin_from.component("vae"),
                                         weights_stem("vae"));
  ParameterSet set;
  for (const auto& [name, loaded_value] : loaded.list()) {
    auto value = loaded_value.detach();
    if (name == "encoder.conv_in.weight") value = repeat_folded(value, 1, same.patch_size, k) / (k * k);
    if (name == "decoder.conv_out.weight" || name == "decoder.conv_out.bias")
      value = repeat_folded(value, 0, same.patch_size, k);
    set.add({name, value.requires_grad_(true)});
  }
  return set;
}

ParameterSet transformer_for(const WanTransformerConfig& config, const ModelFolder& begin_from) {
  auto same = config;
  same.num_layers = read_model_configs(begin_from).transformer.num_layers;
  if (config.num_layers < same.num_layers)
    throw Error(ErrorKind::bad_input,
                begin_from.component("transformer").string() + ": its 'num_layers' is " +
                    std::to_string(same.num_layers) +
                    "; a transformer that goes on from it should have at least as many, found " +
                    std::to_string(config.num_layers));
  const auto loaded = ParameterSet::load(transformer_parameters(same), begin_from.component("transformer"),
                                         weights_stem("transformer"));
  std::map<std::string, at::Tensor> before;
  for (const auto& parameter : loaded.list()) before[parameter.name] = parameter.value.detach();
  const auto source = [&](int64_t block) { return block * same.num_layers / config.num_layers; };
  ParameterSet set;
  for (const auto& [name, shape] : transformer_parameters(config)) {
    const auto [block, part] = block_of(name);
    auto value = block < 0 ? before.at(name)
                           : before.at("blocks." + std::to_string(source(block)) + "." + part);
    const bool added = block > 0 && source(block) == source(block - 1);
    value = added && is_block_output(part) ? at::zeros_like(value) : value.clone();
    set.add({name, value.requires_grad_(true)});
  }
  return set;
}

ParameterSet text_encoder_for(const TrainedTokenizer& tokenizer, const ModelFolder& begin_from) {
  const auto configs = read_model_configs(begin_from);
  const auto before = load_tokenizer(begin_from, configs);
  const auto loaded = ParameterSet::load(text_parameters(configs.text_encoder),
                                         begin_from.component("text_encoder"), weights_stem("text_encoder"));
  ParameterSet set;
  for (auto parameter : loaded.list()) {
    if (parameter.name == "shared.weight")
      parameter.value = embedding_for(tokenizer, *before, parameter.value.detach());
    set.add(std::move(parameter));
  }
  return set;
}

}  // namespace t2v
