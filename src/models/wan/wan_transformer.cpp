#include "models/wan/wan_transformer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <functional>
#include <map>

#include "nn/fused.h"
#include "nn/ops.h"
#include "nn/recompute.h"
#include "nn/timestep_embedding.h"
#include "t2v/error.h"

namespace t2v {

namespace {

struct WanConditioning : Conditioning {
  std::vector<KeyValues> blocks;   // of each block: [R, heads, L, head_dim], a text segment each
  std::vector<KeyValues> control;  // likewise, of the blocks of the control branch
  std::vector<KeyValues> images;   // likewise, of the pictures; undefined tensors where none are read
  at::Tensor rotary;               // complex64 [N, head_dim / 2]
  at::Tensor frame_rate;           // float32 [6, D], or undefined
};

// The states of the texts that are read, below each other, and zeros. Segments that read the same text share
// its rows, and all share those of the padding.
struct TextRows {
  at::Tensor rows;                       // float32 [rows, text_dim]
  std::vector<int64_t> row_of_position;  // [R, L], flat
};

TextRows rows_of_texts(const std::vector<int64_t>& wanted, const std::vector<TextStates>& texts,
                       at::Device device) {
  // A product of fewer rows rounds differently (note in nn/ops.cpp): a text's keys and values are to be the
  // same beside any other.
  constexpr int64_t least_rows = 32;
  std::map<int64_t, int64_t> begin_of_text;
  std::vector<at::Tensor> parts;
  int64_t count = 0;
  for (const auto text : wanted) {
    const auto [place, is_new] = begin_of_text.try_emplace(text, count);
    if (!is_new) continue;
    parts.push_back(texts[static_cast<std::size_t>(text)].states.front().to(device, at::kFloat));
    count += parts.back().size(0);
  }
  const int64_t length = texts[static_cast<std::size_t>(wanted.front())].length;
  TextRows index;
  for (const auto text : wanted) {
    const auto& of_text = texts[static_cast<std::size_t>(text)];
    const int64_t tokens = of_text.states.front().size(0);
    if (of_text.length != length || tokens > length)
      throw Error(ErrorKind::internal, "texts of a pack should be padded to one length");
    for (int64_t i = 0; i < length; ++i)
      index.row_of_position.push_back(i < tokens ? begin_of_text.at(text) + i : count);
  }
  parts.push_back(
      at::zeros({std::max<int64_t>(1, least_rows - count), parts.front().size(1)}, parts.front().options()));
  index.rows = at::cat(parts);
  return index;
}

// The states of the pictures that are read, below each other, and the rows of each text segment.
std::pair<at::Tensor, at::Tensor> rows_of_images(const PackedTokens& tokens,
                                                 const WanTransformerConfig& config) {
  if (tokens.images.size() != tokens.texts.size())
    throw Error(ErrorKind::internal, "every segment of a transformer that reads pictures should have some");
  std::vector<at::Tensor> states;
  std::vector<int64_t> places;  // of each segment's pictures among the states
  for (const auto& image : tokens.images) {
    const auto found = std::find_if(states.begin(), states.end(),
                                    [&](const at::Tensor& x) { return x.is_same(image); });
    places.push_back(found - states.begin());
    if (found == states.end()) states.push_back(image);
    const auto wanted = config.pos_embed_seq_len > 0 ? config.pos_embed_seq_len : states.front().size(0);
    if (image.dim() != 2 || image.size(0) != wanted || image.size(1) != config.image_dim)
      throw Error(ErrorKind::bad_input,
                  "the transformer reads pictures as " + std::to_string(wanted) + " states of " +
                      std::to_string(config.image_dim) + " numbers (pos_embed_seq_len, image_dim), found " +
                      std::to_string(image.size(0)) + " of " + std::to_string(image.size(1)));
  }
  const auto length = states.front().size(0);
  const auto begin = at::tensor(places, at::TensorOptions(at::kLong)).unsqueeze(1) * length;
  return {at::cat(states), begin + at::arange(length, at::TensorOptions(at::kLong))};  // [R, L]
}

}  // namespace

WanTransformerConfig parse_wan_transformer_config(const Json& config, const std::string& where) {
  const auto qk_norm = json_get_or<std::string>(config, "qk_norm", "rms_norm_across_heads", where);
  if (qk_norm != "rms_norm_across_heads")
    throw Error(ErrorKind::bad_input,
                where + ": qk_norm '" + qk_norm + "' is not supported; Wan has 'rms_norm_across_heads'");
  WanTransformerConfig c;
  const auto patch = json_get<std::vector<int64_t>>(config, "patch_size", where);
  if (patch.size() != 3 || std::min({patch[0], patch[1], patch[2]}) < 1 ||
      std::max({patch[0], patch[1], patch[2]}) > 64)
    throw Error(ErrorKind::bad_input,
                where + ": patch_size should be three numbers between 1 and 64 (frames, height, width)");
  c.patch_size = {patch[0], patch[1], patch[2]};
  c.num_attention_heads = json_size(config, "num_attention_heads", where, 1024);
  c.attention_head_dim = json_size(config, "attention_head_dim", where, 1024);
  c.num_layers = json_size(config, "num_layers", where, 1024);
  c.ffn_dim = json_size(config, "ffn_dim", where, 1 << 18);
  c.in_channels = json_size(config, "in_channels", where, 4096);
  c.out_channels = json_size(config, "out_channels", where, 4096);
  c.text_dim = json_size(config, "text_dim", where, 1 << 16);
  c.freq_dim = json_size(config, "freq_dim", where, 1 << 14);
  c.rope_max_seq_len = config.contains("rope_max_seq_len")
                           ? json_size(config, "rope_max_seq_len", where, 1 << 20)
                           : 1024;
  c.cross_attn_norm = json_get_or<bool>(config, "cross_attn_norm", true, where);
  c.reads_frame_rate = json_get_or<bool>(config, "inject_sample_info", false, where);
  if (const auto block = json_get_or<int64_t>(config, "num_frame_per_block", 1, where); block != 1)
    throw Error(ErrorKind::bad_input,
                where + ": num_frame_per_block " + std::to_string(block) +
                    " is not supported: all latent frames are made together; set it to 1");
  c.eps = json_get_or<double>(config, "eps", 1e-6, where);
  if (c.attention_head_dim % 2 != 0 || c.attention_head_dim < 6)
    throw Error(ErrorKind::bad_input, where + ": attention_head_dim should be even and at least 6");
  const auto optional = [&](const char* key) {
    return config.contains(key) && !config.at(key).is_null() ? json_size(config, key, where, 1 << 16) : 0;
  };
  c.image_dim = optional("image_dim");
  c.pos_embed_seq_len = optional("pos_embed_seq_len");
  if (config.contains("vace_layers")) {
    c.vace_layers = json_get<std::vector<int64_t>>(config, "vace_layers", where);
    c.vace_in_channels = json_size(config, "vace_in_channels", where, 4096);
    const auto& layers = c.vace_layers;
    if (layers.empty() || layers.front() != 0 || layers.back() >= c.num_layers ||
        !std::is_sorted(layers.begin(), layers.end(), std::less_equal<>()))
      throw Error(ErrorKind::bad_input,
                  where + ": vace_layers should be increasing numbers of blocks from 0 to " +
                      std::to_string(c.num_layers - 1) + ", found " + config.at("vace_layers").dump());
  }
  const auto added = optional("added_kv_proj_dim");
  if (added != (c.image_dim > 0 ? c.width() : 0))
    throw Error(ErrorKind::bad_input, where + ": added_kv_proj_dim should be " +
                                          (c.image_dim > 0 ? "num_attention_heads · attention_head_dim, " +
                                                                 std::to_string(c.width())
                                                           : std::string("null, as image_dim")) +
                                          ", found " + std::to_string(added));
  if (c.image_dim == 0 && c.pos_embed_seq_len > 0)
    throw Error(ErrorKind::bad_input, where + ": pos_embed_seq_len belongs to image_dim, which is null");
  return c;
}

WanBlock::WanBlock(const WanTransformerConfig& config, const WeightScope& weights)
    : heads_(config.num_attention_heads), head_dim_(config.attention_head_dim), eps_(config.eps) {
  const int64_t width = config.width();
  const auto self = weights / "attn1";
  const auto cross = weights / "attn2";
  scale_shift_table_ = weights.take("scale_shift_table", {1, 6, width}, Precision::float32);
  to_qkv_ = Linear::join({load_linear(self / "to_q", width, width), load_linear(self / "to_k", width, width),
                          load_linear(self / "to_v", width, width)});
  norm_qk_ = at::stack(
      {(self / "norm_q").take("weight", {width}), (self / "norm_k").take("weight", {width})});
  attention_out_ = load_linear(self / "to_out" / 0, width, width);
  if (config.cross_attn_norm) {
    norm2_weight_ = (weights / "norm2").take("weight", {width}, Precision::float32);
    norm2_bias_ = (weights / "norm2").take("bias", {width}, Precision::float32);
  }
  to_q_ = load_linear(cross / "to_q", width, width);
  to_k_ = load_linear(cross / "to_k", width, width);
  to_v_ = load_linear(cross / "to_v", width, width);
  norm_q_ = (cross / "norm_q").take("weight", {width});
  norm_k_ = (cross / "norm_k").take("weight", {width});
  if (config.image_dim > 0) {
    add_k_ = load_linear(cross / "add_k_proj", width, width);
    add_v_ = load_linear(cross / "add_v_proj", width, width);
    norm_added_k_ = (cross / "norm_added_k").take("weight", {width});
    (cross / "norm_added_q").ignore("weight");  // which nothing reads there either
  }
  text_out_ = load_linear(cross / "to_out" / 0, width, width);
  feed_in_ = load_linear(weights / "ffn" / "net" / 0 / "proj", width, config.ffn_dim);
  feed_out_ = load_linear(weights / "ffn" / "net" / 2, config.ffn_dim, width);
}

at::Tensor WanBlock::split_heads(const at::Tensor& rows, const at::Tensor& row_of_position) const {
  const auto placed = rows_at(rows, row_of_position);  // [texts, L, D]
  return placed.view({placed.size(0), placed.size(1), heads_, head_dim_}).transpose(1, 2).contiguous();
}

KeyValues WanBlock::text_key_values(const at::Tensor& rows, const at::Tensor& row_of_position) const {
  return {split_heads(rms_norm(to_k_(rows), norm_k_, eps_), row_of_position),
          split_heads(to_v_(rows), row_of_position)};  // [texts, heads, L, head_dim]
}

KeyValues WanBlock::image_key_values(const at::Tensor& rows, const at::Tensor& row_of_position) const {
  if (!norm_added_k_.defined()) return {};
  return {split_heads(rms_norm(add_k_(rows), norm_added_k_, eps_), row_of_position),
          split_heads(add_v_(rows), row_of_position)};
}

at::Tensor WanBlock::self_attention(const at::Tensor& x, const at::Tensor& rotary,
                                    const std::vector<int64_t>& segments) const {
  const int64_t n = x.size(0);
  const auto heads = [&](const at::Tensor& part) { return part.view({n, heads_, head_dim_}); };
  const auto qkv = to_qkv_(x);  // [N, 3·D]; queries and keys are normed over all heads, before the split
  if (fused::takes(qkv)) {
    const auto parts = fused::normed_rotated_qkv(qkv, norm_qk_, rotary, eps_);
    return attention_out_(
        segment_self_attention(heads(parts.query), heads(parts.key), heads(parts.value), segments));
  }
  const auto parts = qkv.chunk(3, 1);
  const auto normed = [&](int64_t index) {
    return apply_rotary(heads(rms_norm(parts[static_cast<std::size_t>(index)], norm_qk_[index], eps_)),
                        rotary);
  };
  return attention_out_(segment_self_attention(normed(0), normed(1), heads(parts[2].contiguous()), segments));
}

at::Tensor WanBlock::cross_attention(const at::Tensor& x, const KeyValues& texts, const KeyValues& images,
                                     const std::vector<int64_t>& segments) const {
  const auto q = rms_norm(to_q_(x), norm_q_, eps_).view({x.size(0), heads_, head_dim_});
  auto attended = segment_cross_attention(q, texts, segments);
  if (images.keys.defined()) attended = attended + segment_cross_attention(q, images, segments);
  return text_out_(attended);
}

at::Tensor WanBlock::forward(at::Tensor x, const at::Tensor& time, const at::Tensor& level_of_token,
                             const at::Tensor& rotary, const KeyValues& texts, const KeyValues& images,
                             const WanSegments& segments) const {
  const auto rows = (scale_shift_table_ + time).unbind(1);  // float32 [K, D] x 6
  const Modulation attend{rows[0], rows[1], rows[2], level_of_token};
  const Modulation feed{rows[3], rows[4], rows[5], level_of_token};
  x = gated_residual(x, self_attention(modulated_layer_norm(x, attend, eps_), rotary, segments.own), attend);
  const auto h = norm2_weight_.defined() ? layer_norm_float32(x, norm2_weight_, norm2_bias_, eps_) : x;
  x = x + cross_attention(h, texts, images, segments.text);  // the prompt has no gate
  return gated_residual(x, feed_out_(gelu_tanh(feed_in_(modulated_layer_norm(x, feed, eps_)))), feed);
}

WanTransformer::WanTransformer(const WanTransformerConfig& config, const WeightScope& weights,
                               at::Device device)
    : config_(config), rotary_(config.attention_head_dim, config.rope_max_seq_len, device) {
  const int64_t width = config.width();
  const auto& patch = config.patch_size;
  const auto embedder = weights / "condition_embedder";
  const auto load_patches = [&](const char* name, int64_t channels) {
    const auto scope = weights / name;
    const auto patches = scope.take("weight", {width, channels, patch.t, patch.h, patch.w});
    return Linear(patches.flatten(1), scope.take("bias", {width}));
  };
  patch_embedding_ = load_patches("patch_embedding", config.in_channels);
  time_in_ = load_linear(embedder / "time_embedder" / "linear_1", config.freq_dim, width, Precision::float32);
  time_out_ = load_linear(embedder / "time_embedder" / "linear_2", width, width, Precision::float32);
  time_proj_ = load_linear(embedder / "time_proj", width, 6 * width);
  if (config.reads_frame_rate) {
    const auto projection = weights / "fps_projection" / "net";
    fps_embedding_ = (weights / "fps_embedding").take("weight", {2, width});
    fps_in_ = load_linear(projection / 0 / "proj", width, width);
    fps_out_ = load_linear(projection / 2, width, 6 * width);
  }
  text_in_ = load_linear(embedder / "text_embedder" / "linear_1", config.text_dim, width);
  text_out_ = load_linear(embedder / "text_embedder" / "linear_2", width, width);
  if (config.image_dim > 0) {
    const auto image = embedder / "image_embedder";
    const auto dim = config.image_dim;
    image_ = {.positions = config.pos_embed_seq_len > 0
                               ? image.take("pos_embed", {1, config.pos_embed_seq_len, dim})[0]
                               : at::Tensor(),
              .norm1_weight = (image / "norm1").take("weight", {dim}, Precision::float32),
              .norm1_bias = (image / "norm1").take("bias", {dim}, Precision::float32),
              .norm2_weight = (image / "norm2").take("weight", {width}, Precision::float32),
              .norm2_bias = (image / "norm2").take("bias", {width}, Precision::float32),
              .in = load_linear(image / "ff" / "net" / 0 / "proj", dim, dim),
              .out = load_linear(image / "ff" / "net" / 2, dim, width)};
  }
  blocks_ = {weights / "blocks", config.num_layers,
             [config](const WeightScope& scope, int64_t) { return WanBlock(config, scope); }};
  if (!config.vace_layers.empty())
    vace_patch_embedding_ = load_patches("vace_patch_embedding", config.vace_in_channels);
  vace_blocks_ = {weights / "vace_blocks", static_cast<int64_t>(config.vace_layers.size()),
                  [config, width](const WeightScope& scope, int64_t i) {
                    return WanVaceBlock{i == 0 ? load_linear(scope / "proj_in", width, width) : Linear(),
                                        WanBlock(config, scope),
                                        load_linear(scope / "proj_out", width, width)};
                  }};
  scale_shift_table_ = weights.take("scale_shift_table", {1, 2, width}, Precision::float32);
  // Channel is the fastest in the checkpoint, the slowest in PackedTokens.
  proj_out_ = load_linear(weights / "proj_out", width, config.out_channels * patch.volume(), Precision::model)
                  .with_outputs_transposed(patch.volume(), config.out_channels);
}

at::Tensor WanTransformer::embed_images(const at::Tensor& states) const {
  constexpr double eps = 1e-5;
  auto x = states;
  if (image_.positions.defined())
    x = (x.unflatten(0, {-1, config_.pos_embed_seq_len}) + image_.positions).flatten(0, 1);
  x = layer_norm_float32(x, image_.norm1_weight, image_.norm1_bias, eps);
  x = image_.out(at::gelu(image_.in(x)));
  return layer_norm_float32(x, image_.norm2_weight, image_.norm2_bias, eps);
}

at::Tensor WanTransformer::embed_frame_rate(double frame_rate) const {
  if (!config_.reads_frame_rate) return {};
  const auto row = fps_embedding_.slice(0, frame_rate == 16 ? 0 : 1).slice(0, 0, 1);  // [1, D]
  return fps_out_(at::silu(fps_in_(row))).to(at::kFloat).view({6, config_.width()});
}

std::shared_ptr<const Conditioning> WanTransformer::prepare(const PackedTokens& tokens,
                                                            const std::vector<TextStates>& texts) const {
  const auto device = tokens.values.device();
  const auto index = rows_of_texts(tokens.texts, texts, device);
  const auto text = text_out_(gelu_tanh(text_in_(index.rows)));  // [R, D]
  const auto row_of_position = at::tensor(index.row_of_position, at::TensorOptions(at::kLong))
                                   .view({static_cast<int64_t>(tokens.texts.size()), -1})
                                   .to(device);
  auto conditioning = std::make_shared<WanConditioning>();
  at::Tensor images, row_of_image;
  if (config_.image_dim > 0) {
    const auto [states, rows] = rows_of_images(tokens, config_);
    images = embed_images(states.to(device, index.rows.scalar_type()));
    row_of_image = rows.to(device);
  }
  blocks_.each([&](const WanBlock& block, std::size_t) {
    conditioning->blocks.push_back(block.text_key_values(text, row_of_position));
    conditioning->images.push_back(images.defined() ? block.image_key_values(images, row_of_image)
                                                    : KeyValues());
  });
  vace_blocks_.each([&](const WanVaceBlock& block, std::size_t) {
    conditioning->control.push_back(block.block.text_key_values(text, row_of_position));
  });
  conditioning->frame_rate = embed_frame_rate(tokens.frame_rate);
  const auto& extent = tokens.extent;
  conditioning->rotary = rotary_.at_positions(tokens.positions, std::max({extent.t, extent.h, extent.w}));
  return conditioning;
}

std::pair<at::Tensor, at::Tensor> WanTransformer::embed_time(const at::Tensor& timesteps) const {
  const auto temb = time_out_(at::silu(time_in_(timestep_embedding(timesteps, config_.freq_dim))));  // [K, D]
  const auto proj = time_proj_(at::silu(temb)).to(at::kFloat);  // [K, 6·D]
  return {temb, proj.view({timesteps.size(0), 6, config_.width()})};
}

at::Tensor WanTransformer::run_block(const WanBlock& block, const at::Tensor& x, const at::Tensor& time,
                                     const at::Tensor& level_of_token, const at::Tensor& rotary,
                                     const KeyValues& texts, const KeyValues& images,
                                     const WanSegments& segments) const {
  if (!config_.recompute || !at::GradMode::is_enabled())
    return block.forward(x, time, level_of_token, rotary, texts, images, segments);
  // A copy of the block holds the same weights: they outlive this network, whose loss may be taken back
  // through after it has gone.
  return recomputed_in_backward(
      [block, segments](const std::vector<at::Tensor>& in) {
        return block.forward(in[0], in[1], in[2], in[3], {in[4], in[5]}, {in[6], in[7]}, segments);
      },
      {x, time, level_of_token, rotary, texts.keys, texts.values, images.keys, images.values});
}

std::vector<at::Tensor> WanTransformer::control_hints(const at::Tensor& x, const PackedTokens& tokens,
                                                      const at::Tensor& time, const at::Tensor& rotary,
                                                      const std::vector<KeyValues>& texts) const {
  std::vector<at::Tensor> hints;
  if (vace_blocks_.empty()) return hints;
  if (!tokens.condition.defined())
    throw Error(ErrorKind::internal, "a transformer with a control branch should have a condition");
  const WanSegments segments{tokens.segments, tokens.text_segments};
  at::Tensor control = vace_patch_embedding_(tokens.condition);
  vace_blocks_.each([&](const WanVaceBlock& block, std::size_t i) {
    if (i == 0) control = block.proj_in(control) + x;
    control = run_block(block.block, control, time, tokens.level_of_token, rotary, texts[i], {}, segments);
    hints.push_back(block.proj_out(control) * tokens.condition_scale);
  });
  return hints;
}

at::Tensor WanTransformer::predict(const PackedTokens& tokens, const Conditioning& conditioning,
                                   at::Tensor* middle) const {
  const auto& prepared = dynamic_cast<const WanConditioning&>(conditioning);
  const auto& level_of_token = tokens.level_of_token;
  // clang 14 takes no structured binding into a lambda.
  const auto levels = embed_time(tokens.timesteps);
  const auto& temb = levels.first;
  const auto time = prepared.frame_rate.defined() ? levels.second + prepared.frame_rate : levels.second;
  const WanSegments segments{tokens.segments, tokens.text_segments};
  const auto beside = vace_blocks_.empty() ? tokens.condition : at::Tensor();
  auto x = patch_embedding_(beside.defined() ? at::cat({tokens.values, beside}, 1) : tokens.values);
  const auto hints = control_hints(x, tokens, time, prepared.rotary, prepared.control);
  std::size_t hint = 0;
  blocks_.each([&](const WanBlock& block, std::size_t i) {
    if (middle != nullptr && i == blocks_.size() / 2) *middle = x;
    x = run_block(block, x, time, level_of_token, prepared.rotary, prepared.blocks[i], prepared.images[i],
                  segments);
    if (hint < hints.size() && config_.vace_layers[hint] == static_cast<int64_t>(i)) x = x + hints[hint++];
  });
  const auto rows = (scale_shift_table_ + temb.unsqueeze(1)).unbind(1);  // [K, D] x 2
  const Modulation out{rows[0], rows[1], {}, level_of_token};
  return proj_out_(modulated_layer_norm(x, out, config_.eps)).to(at::kFloat);
}

}  // namespace t2v
