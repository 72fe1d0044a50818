#include "models/cogvideox/cogvideox_transformer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

#include "models/cogvideox/cogvideox_positions.h"
#include "nn/attention.h"
#include "nn/ops.h"
#include "nn/rotary.h"
#include "nn/timestep_embedding.h"
#include "t2v/error.h"

namespace t2v {

namespace {

constexpr double qk_norm_eps = 1e-6;

struct CogVideoXConditioning : Conditioning {
  std::vector<at::Tensor> texts;  // [L, D] of each segment, projected
  at::Tensor positions;           // float32 [N, D], added to the patches; undefined with rotary positions
  at::Tensor rotary;              // complex64 [M, head_dim / 2], or undefined
  std::vector<int64_t> segments;  // [S + 1] of the joint sequence
};

// Per segment its text's rows, then its video's.
at::Tensor join(const std::vector<at::Tensor>& texts, const at::Tensor& video,
                const std::vector<int64_t>& segments) {
  std::vector<at::Tensor> parts;
  for (std::size_t s = 0; s < texts.size(); ++s) {
    parts.push_back(texts[s]);
    parts.push_back(video.slice(0, segments[s], segments[s + 1]));
  }
  return at::cat(parts);
}

// The video's rows of the joint sequence.
at::Tensor video_of(const at::Tensor& joint, const std::vector<int64_t>& joint_segments,
                    const std::vector<int64_t>& segments) {
  std::vector<at::Tensor> parts;
  for (std::size_t s = 0; s + 1 < segments.size(); ++s)
    parts.push_back(
        joint.slice(0, joint_segments[s + 1] - (segments[s + 1] - segments[s]), joint_segments[s + 1]));
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

// Rows 0 … K - 1 are the video's modulation at each noise level, K … 2K - 1 the text's. Nothing waits for a
// card here.
at::Tensor rows_of_modulation(const PackedTokens& tokens, const std::vector<at::Tensor>& texts) {
  const int64_t levels = tokens.timesteps.size(0);
  const auto options = at::TensorOptions(at::kLong).device(tokens.values.device());
  const auto of_video = tokens.level_of_token.defined() ? tokens.level_of_token
                                                        : at::zeros({tokens.values.size(0)}, options);
  std::vector<at::Tensor> of_texts;
  for (std::size_t s = 0; s < texts.size(); ++s) {
    const auto own = of_video.slice(0, tokens.segments[s], tokens.segments[s + 1]);
    const auto noisiest = rows_at(own, rows_at(tokens.timesteps, own).argmax(0, /*keepdim=*/true));
    of_texts.push_back((noisiest + levels).expand({texts[s].size(0)}));
  }
  return join(of_texts, of_video, tokens.segments);
}

// A norm with weights as one without: (n·w + b)·(1 + scale) + shift = n·(1 + (w·(1 + scale) - 1)) + (b·(1 +
// scale) + shift).
void take_up_weights(Modulation& modulation, const at::Tensor& weight, const at::Tensor& bias) {
  const auto factor = modulation.scale + 1;
  modulation.shift = modulation.shift + bias * factor;
  modulation.scale = weight * factor - 1;
}

}  // namespace

int64_t CogVideoXTransformerConfig::longest_axis() const {
  constexpr int64_t anywhere = 1 << 20;
  return patches_of_time ? std::min(sample_width, sample_height) / patch_size.h : anywhere;
}

CogVideoXTransformerConfig parse_cogvideox_transformer_config(const Json& config, const std::string& where) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::bad_input, where + ": " + what);
  };
  for (const char* key : {"ofs_embed_dim", "use_learned_positional_embeddings"})
    if (config.contains(key) && !config.at(key).is_null() && config.at(key) != false)
      refuse(std::string("'") + key + "' is set: this transformer is conditioned on images, which t2v does " +
             "not support; use a text-to-video model");
  const auto expect = [&](const char* key, const auto& value) {
    if (json_get_or(config, key, value, where) != value)
      refuse(std::string("'") + key + "' " + config.at(key).dump() + " is not supported; CogVideoX has " +
             Json(value).dump());
  };
  expect("activation_fn", std::string("gelu-approximate"));
  expect("timestep_activation_fn", std::string("silu"));
  expect("flip_sin_to_cos", true);
  expect("freq_shift", int64_t{0});
  expect("attention_bias", true);
  expect("norm_elementwise_affine", true);
  CogVideoXTransformerConfig c;
  c.patch_size.h = c.patch_size.w = json_size(config, "patch_size", where, 64);
  c.patches_of_time = config.contains("patch_size_t") && !config.at("patch_size_t").is_null();
  if (c.patches_of_time) {
    expect("patch_size_t", int64_t{2});
    c.patch_size.t = 2;
  }
  c.num_attention_heads = json_size(config, "num_attention_heads", where, 1024);
  c.attention_head_dim = json_size(config, "attention_head_dim", where, 1024);
  c.num_layers = json_size(config, "num_layers", where, 1024);
  c.in_channels = json_size(config, "in_channels", where, 4096);
  c.text_embed_dim = json_size(config, "text_embed_dim", where, 1 << 16);
  c.time_embed_dim = json_size(config, "time_embed_dim", where, 1 << 16);
  c.sample_width = json_size(config, "sample_width", where, 1 << 16);
  c.sample_height = json_size(config, "sample_height", where, 1 << 16);
  c.rotary = json_get_or<bool>(config, "use_rotary_positional_embeddings", false, where);
  // The layer of 1.5 has a bias whatever the config says. Source: CogVideoXPatchEmbed.
  c.patch_bias = c.patches_of_time || json_get_or<bool>(config, "patch_bias", true, where);
  c.norm_eps = json_get_or<double>(config, "norm_eps", 1e-5, where);
  c.spatial_interpolation_scale = json_get_or<double>(config, "spatial_interpolation_scale", 1.875, where);
  c.temporal_interpolation_scale = json_get_or<double>(config, "temporal_interpolation_scale", 1.0, where);
  if (!(c.spatial_interpolation_scale > 0) || !(c.temporal_interpolation_scale > 0))
    refuse("spatial_interpolation_scale and temporal_interpolation_scale should be positive");
  if (c.patches_of_time && !c.rotary)
    refuse("patch_size_t without use_rotary_positional_embeddings is not supported");
  if (std::min(c.sample_width, c.sample_height) < c.patch_size.h)
    refuse("sample_width and sample_height should hold a patch of " + std::to_string(c.patch_size.h));
  if ((c.rotary ? c.attention_head_dim : c.width()) % 16 != 0)
    refuse(c.rotary
               ? "attention_head_dim should be a multiple of 16 for rotary positions"
               : "num_attention_heads·attention_head_dim should be a multiple of 16 for sincos positions");
  const auto out_channels = json_get_or<int64_t>(config, "out_channels", c.in_channels, where);
  if (out_channels != c.in_channels)
    refuse("in_channels " + std::to_string(c.in_channels) + " and out_channels " +
           std::to_string(out_channels) + " differ: this transformer takes conditioning latents, which t2v " +
           "does not support; use a text-to-video model");
  return c;
}

CogVideoXBlock::Norm CogVideoXBlock::load_norm(const CogVideoXTransformerConfig& config,
                                               const WeightScope& weights) {
  const int64_t width = config.width();
  return {.linear = load_linear(weights / "linear", config.time_embed_dim, 6 * width),
          .weight = (weights / "norm").take("weight", {width}, Precision::float32),
          .bias = (weights / "norm").take("bias", {width}, Precision::float32)};
}

CogVideoXBlock::CogVideoXBlock(const CogVideoXTransformerConfig& config, const WeightScope& weights)
    : norm1_(load_norm(config, weights / "norm1")),
      norm2_(load_norm(config, weights / "norm2")),
      heads_(config.num_attention_heads),
      head_dim_(config.attention_head_dim),
      eps_(config.norm_eps) {
  const int64_t width = config.width();
  const auto attention = weights / "attn1";
  to_qkv_ = Linear::join({load_linear(attention / "to_q", width, width),
                          load_linear(attention / "to_k", width, width),
                          load_linear(attention / "to_v", width, width)});
  norm_q_ = (attention / "norm_q").take("weight", {head_dim_}, Precision::float32);
  norm_q_bias_ = (attention / "norm_q").take("bias", {head_dim_}, Precision::float32);
  norm_k_ = (attention / "norm_k").take("weight", {head_dim_}, Precision::float32);
  norm_k_bias_ = (attention / "norm_k").take("bias", {head_dim_}, Precision::float32);
  attention_out_ = load_linear(attention / "to_out" / 0, width, width);
  feed_in_ = load_linear(weights / "ff" / "net" / 0 / "proj", width, 4 * width);
  feed_out_ = load_linear(weights / "ff" / "net" / 2, 4 * width, width);
}

Modulation CogVideoXBlock::modulation(const Norm& norm, const at::Tensor& time, const JointTokens& joint) {
  const int64_t levels = time.size(0);
  const auto rows = norm.linear(time)  // [K, 6·D]
                        .to(at::kFloat)
                        .view({levels, 2, 3, -1})  // video, text; shift, scale, gate
                        .transpose(0, 1)
                        .reshape({2 * levels, 3, -1})
                        .unbind(1);
  Modulation modulation{rows[0], rows[1], rows[2].contiguous(), joint.row_of_modulation};
  take_up_weights(modulation, norm.weight, norm.bias);
  return modulation;
}

at::Tensor CogVideoXBlock::attention(const at::Tensor& x, const JointTokens& joint) const {
  const auto parts = to_qkv_(x).chunk(3, 1);
  const auto heads = [&](const at::Tensor& part) { return part.reshape({x.size(0), heads_, head_dim_}); };
  const auto placed = [&](const at::Tensor& part) {
    return joint.rotary.defined() ? apply_rotary(part, joint.rotary) : part;
  };
  const auto q = placed(layer_norm_float32(heads(parts[0]), norm_q_, norm_q_bias_, qk_norm_eps));
  const auto k = placed(layer_norm_float32(heads(parts[1]), norm_k_, norm_k_bias_, qk_norm_eps));
  return attention_out_(segment_self_attention(q, k, heads(parts[2].contiguous()), joint.segments));
}

at::Tensor CogVideoXBlock::forward(at::Tensor x, const at::Tensor& time, const JointTokens& joint) const {
  const auto attend = modulation(norm1_, time, joint), feed = modulation(norm2_, time, joint);
  x = gated_residual(x, attention(modulated_layer_norm(x, attend, eps_), joint), attend);
  return gated_residual(x, feed_out_(gelu_tanh(feed_in_(modulated_layer_norm(x, feed, eps_)))), feed);
}

CogVideoXTransformer::CogVideoXTransformer(const CogVideoXTransformerConfig& config,
                                           const WeightScope& weights)
    : config_(config) {
  const int64_t width = config.width();
  const auto& patch = config.patch_size;
  const auto embedder = weights / "patch_embed";
  // The checkpoint's patches are (C, t, h, w), as those of PackedTokens, here and in proj_out.
  const auto projection = embedder / "proj";
  const auto patches = config.patches_of_time
                           ? projection.take("weight", {width, config.in_channels * patch.volume()})
                           : projection.take("weight", {width, config.in_channels, patch.h, patch.w})
                                 .flatten(1);
  patch_embedding_ = {
      patches, config.patch_bias ? projection.take("bias", {width}) : at::zeros({width}, patches.options())};
  text_projection_ = load_linear(embedder / "text_proj", config.text_embed_dim, width);
  const auto time = weights / "time_embedding";
  time_in_ = load_linear(time / "linear_1", width, config.time_embed_dim, Precision::float32);
  time_out_ = load_linear(time / "linear_2", config.time_embed_dim, config.time_embed_dim,
                          Precision::float32);
  blocks_ = {weights / "transformer_blocks", config.num_layers,
             [config](const WeightScope& scope, int64_t) { return CogVideoXBlock(config, scope); }};
  norm_final_weight_ = (weights / "norm_final").take("weight", {width}, Precision::float32);
  norm_final_bias_ = (weights / "norm_final").take("bias", {width}, Precision::float32);
  const auto out = weights / "norm_out";
  norm_out_linear_ = load_linear(out / "linear", config.time_embed_dim, 2 * width);
  norm_out_weight_ = (out / "norm").take("weight", {width}, Precision::float32);
  norm_out_bias_ = (out / "norm").take("bias", {width}, Precision::float32);
  proj_out_ = load_linear(weights / "proj_out", width, config.in_channels * patch.volume(), Precision::model);
}

std::shared_ptr<const Conditioning> CogVideoXTransformer::prepare(
    const PackedTokens& tokens, const std::vector<TextStates>& texts) const {
  if (tokens.text_segments != tokens.segments)
    throw Error(ErrorKind::usage, "CogVideoX reads one text for the whole of a clip; give one prompt");
  const auto device = tokens.values.device();
  auto conditioning = std::make_shared<CogVideoXConditioning>();
  std::map<int64_t, at::Tensor> projected;
  conditioning->segments = {0};
  for (std::size_t s = 0; s < tokens.texts.size(); ++s) {
    const auto& text = texts[static_cast<std::size_t>(tokens.texts[s])];
    const auto& states = text.states.front();
    if (states.size(0) != text.length)
      throw Error(ErrorKind::internal, "CogVideoX's texts should be encoded with their padding");
    auto& rows = projected[tokens.texts[s]];
    if (!rows.defined()) rows = text_projection_(states.to(device));
    conditioning->texts.push_back(rows);
    conditioning->segments.push_back(conditioning->segments.back() + text.length + tokens.segments[s + 1] -
                                     tokens.segments[s]);
  }
  if (!config_.rotary) {
    conditioning->positions = sincos_positions(config_, tokens);
    return conditioning;
  }
  std::vector<at::Tensor> unturned;
  for (const auto& text : conditioning->texts)
    unturned.push_back(at::ones({text.size(0), config_.attention_head_dim / 2},
                                at::TensorOptions(at::kComplexFloat).device(device)));
  conditioning->rotary = join(unturned, rotary_positions(config_, tokens), tokens.segments);
  return conditioning;
}

at::Tensor CogVideoXTransformer::predict(const PackedTokens& tokens, const Conditioning& conditioning,
                                         at::Tensor* middle) const {
  const auto& prepared = dynamic_cast<const CogVideoXConditioning&>(conditioning);
  const auto embedded = time_out_(
      at::silu(time_in_(timestep_embedding(tokens.timesteps, config_.width()))));  // [K, time_embed_dim]
  const auto time = at::silu(embedded);
  const JointTokens joint{prepared.segments, rows_of_modulation(tokens, prepared.texts), prepared.rotary};
  auto video = patch_embedding_(tokens.values);  // [N, D]
  if (prepared.positions.defined()) video = video + prepared.positions.to(video.scalar_type());
  auto x = join(prepared.texts, video, tokens.segments);  // [M, D]
  blocks_.each([&](const CogVideoXBlock& block, std::size_t i) {
    if (middle != nullptr && i == blocks_.size() / 2) *middle = video_of(x, joint.segments, tokens.segments);
    x = block.forward(x, time, joint);
  });
  video = layer_norm_float32(video_of(x, joint.segments, tokens.segments), norm_final_weight_,
                             norm_final_bias_, config_.norm_eps);
  const auto rows = norm_out_linear_(time).to(at::kFloat).chunk(2, 1);  // [K, D] x 2
  Modulation out{rows[0], rows[1], {}, tokens.level_of_token};
  take_up_weights(out, norm_out_weight_, norm_out_bias_);
  return proj_out_(modulated_layer_norm(video, out, config_.norm_eps)).to(at::kFloat);
}

}  // namespace t2v
