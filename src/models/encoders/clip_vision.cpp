#include "models/encoders/clip_vision.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "nn/ops.h"
#include "nn/picture_resampling.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// "size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, or a number each.
int64_t edge_of(const Json& processor, const char* key, const char* edge, const std::string& where) {
  const auto value = processor.value(key, Json());
  return value.is_object() ? json_size(value, edge, where + ", " + key, 4096)
                           : json_size(processor, key, where, 4096);
}

std::array<double, 3> colours_of(const Json& processor, const char* key, const std::string& where) {
  const auto values = json_get<std::vector<double>>(processor, key, where);
  if (values.size() != 3)
    throw Error(ErrorKind::bad_input,
                where + ": '" + key + "' should be three numbers, found " + std::to_string(values.size()));
  return {values[0], values[1], values[2]};
}

}  // namespace

ClipVisionConfig parse_clip_vision_config(const Json& config, const std::string& where, const Json& processor,
                                          const std::string& processor_where) {
  const auto refuse = [](const std::string& at, const std::string& what) {
    throw Error(ErrorKind::bad_input, at + ": " + what);
  };
  ClipVisionConfig c;
  c.hidden_size = json_size(config, "hidden_size", where, 1 << 14);
  c.intermediate_size = json_size(config, "intermediate_size", where, 1 << 16);
  c.num_hidden_layers = json_size(config, "num_hidden_layers", where, 1024);
  c.num_attention_heads = json_size(config, "num_attention_heads", where, 1024);
  c.image_size = json_size(config, "image_size", where, 4096);
  c.patch_size = json_size(config, "patch_size", where, 1024);
  c.layer_norm_eps = json_get_or<double>(config, "layer_norm_eps", 1e-5, where);
  if (c.hidden_size % c.num_attention_heads != 0)
    refuse(where, "hidden_size should be a multiple of num_attention_heads");
  if (c.image_size % c.patch_size != 0) refuse(where, "image_size should be a multiple of patch_size");
  if (const auto act = json_get_or<std::string>(config, "hidden_act", "gelu", where); act != "gelu")
    refuse(where, "hidden_act '" + act + "' is not supported; Wan's image encoder has 'gelu'");
  c.shortest_edge = edge_of(processor, "size", "shortest_edge", processor_where);
  c.image_mean = colours_of(processor, "image_mean", processor_where);
  c.image_std = colours_of(processor, "image_std", processor_where);
  for (const char* edge : {"height", "width"})
    if (const auto crop = edge_of(processor, "crop_size", edge, processor_where);
        crop != c.image_size || c.shortest_edge < crop)
      refuse(processor_where, "crop_size should be image_size " + std::to_string(c.image_size) +
                                  ", and at most size " + std::to_string(c.shortest_edge) + ", found " +
                                  std::to_string(crop));
  if (const auto filter = json_get_or<int64_t>(processor, "resample", 3, processor_where); filter != 3)
    refuse(processor_where, "resample should be 3 (bicubic), found " + std::to_string(filter));
  return c;
}

ClipVisionEncoder::Norm ClipVisionEncoder::load_norm(const WeightScope& weights, int64_t width) {
  return {weights.take("weight", {width}), weights.take("bias", {width})};
}

ClipVisionEncoder::ClipVisionEncoder(const ClipVisionConfig& config, const WeightScope& root)
    : config_(config) {
  // Later versions of transformers leave out the prefix.
  const auto weights = root.has("embeddings.class_embedding") ? root : root / "vision_model";
  const auto width = config.hidden_size, patch = config.patch_size;
  (root / "visual_projection").ignore("weight");  // of CLIPVisionModelWithProjection
  const auto embeddings = weights / "embeddings";
  class_embedding_ = embeddings.take("class_embedding", {width});
  patch_embedding_ = (embeddings / "patch_embedding").take("weight", {width, 3, patch, patch}).flatten(1);
  position_embedding_ = (embeddings / "position_embedding").take("weight", {config.tokens(), width});
  (embeddings).ignore("position_ids");
  pre_norm_ = load_norm(weights / "pre_layrnorm", width);
  // The last layer and the norm behind it are of no use, and their weights are not read.
  const auto last = config.num_hidden_layers - 1;
  for (int64_t i = 0; i < last; ++i) {
    const auto scope = weights / "encoder" / "layers" / i;
    const auto attention = scope / "self_attn";
    layers_.push_back({.norm1 = load_norm(scope / "layer_norm1", width),
                       .norm2 = load_norm(scope / "layer_norm2", width),
                       .q = load_linear(attention / "q_proj", width, width),
                       .k = load_linear(attention / "k_proj", width, width),
                       .v = load_linear(attention / "v_proj", width, width),
                       .out = load_linear(attention / "out_proj", width, width),
                       .feed_in = load_linear(scope / "mlp" / "fc1", width, config.intermediate_size),
                       .feed_out = load_linear(scope / "mlp" / "fc2", config.intermediate_size, width)});
  }
  const auto unread = weights / "encoder" / "layers" / last;
  for (const char* parameter : {"weight", "bias"}) {
    for (const char* layer : {"layer_norm1", "layer_norm2", "self_attn.q_proj", "self_attn.k_proj",
                              "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2"})
      (unread / layer).ignore(parameter);
    (weights / "post_layernorm").ignore(parameter);
  }
}

at::Tensor ClipVisionEncoder::preprocess(const at::Tensor& picture) const {
  const auto height = picture.size(1), width = picture.size(2), edge = config_.shortest_edge;
  const auto shorter = std::min(height, width);
  const auto side = [&](int64_t x) { return edge * x / shorter; };
  const auto resized = resample_picture(picture, side(width), side(height), ResamplingFilter::bicubic);
  const auto size = config_.image_size;
  const auto middle = resized.narrow(1, (resized.size(1) - size) / 2, size)
                          .narrow(2, (resized.size(2) - size) / 2, size);
  const auto colours = [](const std::array<double, 3>& values) {
    return at::tensor(at::ArrayRef<double>(values), at::TensorOptions(at::kFloat)).view({3, 1, 1});
  };
  return (middle.to(at::kFloat) / 255 - colours(config_.image_mean)) / colours(config_.image_std);
}

at::Tensor ClipVisionEncoder::normed(const at::Tensor& x, const Norm& norm) const {
  return normalise_layer(x, norm.weight, norm.bias, config_.layer_norm_eps);
}

at::Tensor ClipVisionEncoder::attention(const Layer& layer, const at::Tensor& x) const {
  const auto heads = [&](const at::Tensor& part) {  // [1, heads, L, d]
    return part.view({1, part.size(0), config_.num_attention_heads, -1}).transpose(1, 2);
  };
  const auto attended = attend(heads(layer.q(x)), heads(layer.k(x)), heads(layer.v(x)));
  return layer.out(attended.transpose(1, 2).reshape({x.size(0), x.size(1)}));
}

at::Tensor ClipVisionEncoder::forward(const at::Tensor& picture) const {
  const auto patch = config_.patch_size, grid = config_.image_size / patch;
  const auto patches = preprocess(picture)
                           .view({3, grid, patch, grid, patch})
                           .permute({1, 3, 0, 2, 4})  // [rows, columns, 3, p, p]
                           .reshape({grid * grid, 3 * patch * patch})
                           .to(patch_embedding_.options());
  const auto embedded = at::linear(patches, patch_embedding_);
  auto x = normed(at::cat({class_embedding_.unsqueeze(0), embedded}) + position_embedding_, pre_norm_);
  for (const auto& layer : layers_) {
    x = x + attention(layer, normed(x, layer.norm1));
    x = x + layer.feed_out(at::gelu(layer.feed_in(normed(x, layer.norm2))));
  }
  return x;  // [tokens, D]
}

}  // namespace t2v
