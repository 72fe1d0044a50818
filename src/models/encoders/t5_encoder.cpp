#include "models/encoders/t5_encoder.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/file_status.h"
#include "models/encoders/t5_gguf.h"
#include "nn/ops.h"
#include "t2v/error.h"
#include "weights/gguf.h"
#include "weights/safetensors.h"

namespace t2v {

namespace {

// x · weight / rms(x), statistics in float32. Source: T5LayerNorm.forward.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const auto wide = x.to(at::kFloat);
  const auto scaled = x * at::rsqrt(wide.pow(2).mean(-1, true) + epsilon);
  return weight * scaled.to(weight.scalar_type());
}

Linear load_projection(const WeightScope& weights, int64_t in, int64_t out) {
  return load_linear_without_bias(weights, in, out, Precision::model);
}

}  // namespace

T5Config parse_t5_config(const Json& config, const std::string& where) {
  T5Config c;
  c.d_model = json_size(config, "d_model", where, 1 << 16);
  c.d_kv = json_size(config, "d_kv", where, 1 << 12);
  c.d_ff = json_size(config, "d_ff", where, 1 << 18);
  c.num_layers = json_size(config, "num_layers", where, 1024);
  c.num_heads = json_size(config, "num_heads", where, 1024);
  c.vocab_size = json_size(config, "vocab_size", where, 1 << 24);
  c.relative_attention_num_buckets = json_get_or<int64_t>(config, "relative_attention_num_buckets", 32,
                                                          where);
  c.relative_attention_max_distance = json_get_or<int64_t>(config, "relative_attention_max_distance", 128,
                                                           where);
  c.layer_norm_epsilon = json_get_or<double>(config, "layer_norm_epsilon", 1e-6, where);
  if (c.relative_attention_num_buckets < 4 || c.relative_attention_num_buckets > 1024 ||
      c.relative_attention_max_distance <= c.relative_attention_num_buckets / 4)
    throw Error(
        ErrorKind::bad_input,
        where +
            ": relative_attention_num_buckets and relative_attention_max_distance make no position buckets");
  const auto feed_forward = json_get_or<std::string>(config, "feed_forward_proj", "gated-gelu", where);
  if (feed_forward != "gated-gelu")
    throw Error(ErrorKind::bad_input, where + ": feed_forward_proj '" + feed_forward +
                                          "' is not supported; T5 v1.1 and UMT5 have 'gated-gelu'");
  return c;
}

T5Config parse_umt5_config(const Json& config, const std::string& where) {
  auto c = parse_t5_config(config, where);
  c.bias_in_every_layer = true;
  return c;
}

std::unique_ptr<Tokenizer> load_tokenizer_in(const std::filesystem::path& weights) {
  if (is_gguf(weights)) return load_gguf_tokenizer(weights);
  const auto file = SafetensorsFile::open(weights);
  const auto found = file->entries().find(embedded_tokenizer);
  if (found == file->entries().end()) return nullptr;
  const auto where = weights.string() + ", " + embedded_tokenizer;
  if (found->second.dtype != "U8")
    throw Error(ErrorKind::bad_input, where + ": should be bytes (U8), found " + found->second.dtype);
  return make_t5_tokenizer(parse_sentencepiece_model(file->tensor_bytes(found->second), where), where);
}

std::unique_ptr<Tokenizer> load_tokenizer_of(const T5Config& encoder, const ModelFolder& model) {
  const auto given = model.given_weights.find("text_encoder"), own = model.given_weights.find("tokenizer");
  std::filesystem::path where;
  std::unique_ptr<Tokenizer> tokenizer;
  if (own != model.given_weights.end()) {
    where = own->second;
    tokenizer = is_folder(where) ? load_t5_tokenizer(where)
                                 : make_t5_tokenizer(read_sentencepiece_model(where), where.string());
  } else {
    if (given != model.given_weights.end()) tokenizer = load_tokenizer_in(where = given->second);
    if (!tokenizer && model.root.empty())
      throw Error(ErrorKind::bad_input, where.string() +
                                            ": has no tokenizer in it; give its spiece.model, or a folder "
                                            "with it: --tokenizer");
    if (!tokenizer) tokenizer = load_t5_tokenizer(where = model.component("tokenizer"));
  }
  if (tokenizer->vocabulary_size() > encoder.vocab_size)
    throw Error(ErrorKind::bad_input, where.string() + ": makes " +
                                          std::to_string(tokenizer->vocabulary_size()) +
                                          " different tokens, the text encoder knows " +
                                          std::to_string(encoder.vocab_size) + " (vocab_size)");
  return tokenizer;
}

at::Tensor relative_position_buckets(int64_t length, int64_t num_buckets, int64_t max_distance,
                                     at::Device device) {
  const auto index = at::arange(length, at::TensorOptions(at::kLong));  // on the CPU: the same buckets on
                                                                        // every device, the meta device
                                                                        // included
  const auto relative = index.unsqueeze(0) - index.unsqueeze(1);        // key - query
  const int64_t half = num_buckets / 2;
  const int64_t max_exact = half / 2;
  const auto distance = relative.abs();
  auto logarithmic = at::log(distance.to(at::kFloat) / static_cast<double>(max_exact)) /
                     std::log(static_cast<double>(max_distance) / static_cast<double>(max_exact));
  logarithmic = max_exact + (logarithmic * static_cast<double>(half - max_exact)).to(at::kLong);
  const auto bucket = at::where(distance < max_exact, distance, logarithmic.clamp_max(half - 1));
  return (bucket + relative.gt(0).to(at::kLong) * half).to(device);
}

T5Encoder::T5Encoder(const T5Config& config, const WeightScope& weights) : config_(config) {
  const int64_t width = config.d_model;
  const int64_t inner = config.num_heads * config.d_kv;
  // Wan's folders hold shared.weight, older ones encoder.embed_tokens.weight, some both; the two are tied.
  const auto tied = weights / "encoder" / "embed_tokens";
  const bool shared = weights.has("shared.weight") || !tied.has("weight");
  embedding_ = load_projection(shared ? weights / "shared" : tied, width, config.vocab_size);
  if (shared) tied.ignore("weight");
  layers_ = {weights / "encoder" / "block", config.num_layers,
             [config, width, inner](const WeightScope& scope, int64_t i) {
               const auto attention = scope / "layer" / 0;
               const auto feed = scope / "layer" / 1;
               const auto self = attention / "SelfAttention";
               return Layer{
                   .attention_norm = (attention / "layer_norm").take("weight", {width}),
                   .q = load_projection(self / "q", width, inner),
                   .k = load_projection(self / "k", width, inner),
                   .v = load_projection(self / "v", width, inner),
                   .o = load_projection(self / "o", inner, width),
                   .position_bias = i == 0 || config.bias_in_every_layer
                                        ? (self / "relative_attention_bias")
                                              .take("weight",
                                                    {config.relative_attention_num_buckets, config.num_heads})
                                        : at::Tensor(),
                   .feed_norm = (feed / "layer_norm").take("weight", {width}),
                   .wi_0 = load_projection(feed / "DenseReluDense" / "wi_0", width, config.d_ff),
                   .wi_1 = load_projection(feed / "DenseReluDense" / "wi_1", width, config.d_ff),
                   .wo = load_projection(feed / "DenseReluDense" / "wo", config.d_ff, width),
               };
             }};
  final_norm_ = (weights / "encoder" / "final_layer_norm").take("weight", {width});
}

at::Tensor T5Encoder::self_attention(const Layer& layer, const at::Tensor& x, const at::Tensor& bias) const {
  const auto heads = [&](const Linear& projection) {  // → [B, h, L, d]
    return projection(x).view({x.size(0), x.size(1), config_.num_heads, config_.d_kv}).transpose(1, 2);
  };
  // [B, h, L, L]; T5 does not scale by 1/sqrt(d)
  const auto scores = at::matmul(heads(layer.q), heads(layer.k).transpose(2, 3)) + bias;
  const auto attention = at::softmax(scores.to(at::kFloat), -1).to(x.scalar_type());  // float32 softmax
  const auto joined = at::matmul(attention, heads(layer.v)).transpose(1, 2).flatten(2);
  return layer.o(joined);  // [B, L, D]
}

at::Tensor T5Encoder::forward(const at::Tensor& ids) const {
  if (ids.dim() == 1) return forward(ids.unsqueeze(0))[0];
  const auto buckets = relative_position_buckets(ids.size(1), config_.relative_attention_num_buckets,
                                                 config_.relative_attention_max_distance, ids.device());
  auto x = embedding_.rows(ids);  // [B, L, D]
  at::Tensor bias;                // [h, L, L]
  layers_.each([&](const Layer& layer, std::size_t) {
    if (layer.position_bias.defined()) bias = rows_at(layer.position_bias, buckets).permute({2, 0, 1});
    x = x + self_attention(layer, rms_norm(x, layer.attention_norm, config_.layer_norm_epsilon), bias);
    const auto h = rms_norm(x, layer.feed_norm, config_.layer_norm_epsilon);
    x = x + layer.wo(at::gelu(layer.wi_0(h), "tanh") * layer.wi_1(h));
  });
  return rms_norm(x, final_norm_, config_.layer_norm_epsilon);
}

}  // namespace t2v
