#include "models/wan/wan_shapes.h"

#include <cmath>

#include "models/encoders/t5_gguf.h"
#include "models/tensor_names.h"
#include "models/wan/wan_names.h"

namespace t2v {

namespace {

// Source: diffusers AutoencoderKLWan, latents_mean and latents_std; Wan 2.2, wan/modules/vae2_2.py.
const std::vector<double> mean_21 = {-0.7571, -0.7089, -0.9113, 0.1075,  -0.1745, 0.9653,  -0.1517, 1.5508,
                                     0.4134,  -0.0715, 0.5517,  -0.3632, -0.1922, -0.9497, 0.2503,  -0.2921},
                          std_21 = {2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
                                    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160};
const std::vector<double> mean_22 = {-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174,  0.1838,  0.1557,
                                     -0.1382, 0.0542,  0.2813,  0.0891,  0.1570,  -0.0098, 0.0375,  -0.1825,
                                     -0.2246, -0.1207, -0.0698, 0.5109,  0.2665,  -0.2108, -0.2158, 0.2502,
                                     -0.2055, -0.0322, 0.1109,  0.1567,  -0.0729, 0.0899,  -0.2799, -0.1230,
                                     -0.0313, -0.1649, 0.0117,  0.0723,  -0.2839, -0.2083, -0.0520, 0.3748,
                                     0.0152,  0.1957,  0.1433,  -0.2944, 0.3573,  -0.0548, -0.1681, -0.0667},
                          std_22 = {0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013,
                                    0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978,
                                    0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
                                    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093,
                                    0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887,
                                    0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744};

// The blocks that a control branch of so many adds to: evenly spread from the first one on. Source: Wan 2.1
// VACE's configs: 0, 2, …, 28 of 30 and 0, 5, …, 35 of 40.
std::vector<int64_t> control_layers(int64_t blocks, int64_t control) {
  std::vector<int64_t> layers;
  for (int64_t i = 0; i < control; ++i) layers.push_back(i * (blocks / control));
  return layers;
}

struct Levels {
  std::vector<int64_t> widths;
  std::vector<bool> temporal;  // whether each of them but the last goes down in time
  int64_t resnets = 0;         // of each
};

// Levels of the encoder that lie in one row: residual blocks, then what makes the next level smaller.
Levels levels_in_a_row(const NamedTensors& tensors) {
  Levels levels;
  int64_t width = 0;
  for (int64_t i = 0; i < 64; ++i) {
    const auto block = "encoder.down_blocks." + std::to_string(i);
    if (const auto out = tensors.side(block + ".conv1.weight", 5, 0); out > 0) {
      width = out;
      if (levels.widths.empty()) ++levels.resnets;
      continue;
    }
    if (!tensors.has(block + ".resample.1.weight")) break;
    levels.widths.push_back(width);
    levels.temporal.push_back(tensors.has(block + ".time_conv.weight"));
  }
  levels.widths.push_back(width);
  return levels;
}

Levels residual_levels(const NamedTensors& tensors, int64_t resnets) {
  Levels levels{.widths = {}, .temporal = {}, .resnets = resnets};
  for (int64_t i = 0; i < 8; ++i) {
    const auto level = "encoder.down_blocks." + std::to_string(i);
    const auto width = tensors.side(level + ".resnets.0.conv1.weight", 5, 0);
    if (width == 0) break;
    levels.widths.push_back(width);
    if (tensors.has(level + ".downsampler.resample.1.weight"))
      levels.temporal.push_back(tensors.has(level + ".downsampler.time_conv.weight"));
  }
  return levels;
}

}  // namespace

std::optional<ConfigFromShapes> wan_transformer_from_shapes(const TensorSource& file) {
  const NamedTensors tensors(file, [](const std::string& name) {
    return std::vector<std::string>{name, original_wan_transformer_name(name)};
  });
  const auto patch = tensors.shape("patch_embedding.weight");  // [D, C, t, h, w]
  const auto is_side = [](int64_t side) { return side >= 1 && side <= 64; };
  if (patch.size() != 5 || !is_side(patch[2]) || !is_side(patch[3]) || !is_side(patch[4]) ||
      !tensors.has("blocks.0.attn1.to_q.weight") || !tensors.has("blocks.0.attn2.to_q.weight"))
    return std::nullopt;
  constexpr int64_t head = 128;  // of every Wan
  const auto width = patch[0], blocks = tensors.count("blocks.", ".attn1.to_q.weight");
  const auto volume = patch[2] * patch[3] * patch[4];
  const auto control = tensors.count("vace_blocks.", ".attn1.to_q.weight");
  if (width % head != 0 || width == 0)
    return ConfigFromShapes{
        {},
        "its width " + std::to_string(width) + " is no multiple of 128, the width of the heads of every Wan"};
  Json config = {{"_class_name", control > 0 ? "WanVACETransformer3DModel" : "WanTransformer3DModel"},
                 {"patch_size", {patch[2], patch[3], patch[4]}},
                 {"num_attention_heads", width / head},
                 {"attention_head_dim", head},
                 {"num_layers", blocks},
                 {"ffn_dim", tensors.side("blocks.0.ffn.net.0.proj.weight", 2, 0)},
                 {"in_channels", patch[1]},
                 {"out_channels", tensors.side("proj_out.weight", 2, 0) / volume},
                 {"text_dim", tensors.side("condition_embedder.text_embedder.linear_1.weight", 2, 1)},
                 {"freq_dim", tensors.side("condition_embedder.time_embedder.linear_1.weight", 2, 1)},
                 {"cross_attn_norm", tensors.has("blocks.0.norm2.weight")},
                 {"qk_norm", "rms_norm_across_heads"},
                 {"eps", 1e-6},
                 {"rope_max_seq_len", 1024}};
  if (const auto image = tensors.side("condition_embedder.image_embedder.ff.net.0.proj.weight", 2, 1);
      image > 0) {
    config["image_dim"] = image;
    config["added_kv_proj_dim"] = width;
    if (const auto places = tensors.side("condition_embedder.image_embedder.pos_embed", 3, 1); places > 0)
      config["pos_embed_seq_len"] = places;
  }
  if (control > 0) {
    config["vace_layers"] = control_layers(blocks, control);
    config["vace_in_channels"] = tensors.side("vace_patch_embedding.weight", 5, 1);
  }
  return ConfigFromShapes{config, ""};
}

std::optional<ConfigFromShapes> wan_vae_from_shapes(const TensorSource& file) {
  // A level's residual blocks have the same names however many there are; what comes behind them has not.
  const auto residual_names = [](int64_t resnets) {
    return [resnets](const std::string& name) {
      return std::vector<std::string>{name, original_wan_residual_vae_name(name, resnets)};
    };
  };
  const auto resnets = NamedTensors(file, residual_names(0))
                           .count("encoder.down_blocks.0.resnets.", ".conv1.weight");
  const bool residual = resnets > 0;
  const NamedTensors in_levels(file, residual_names(resnets)), in_a_row(file, [](const std::string&name) {
    return std::vector<std::string>{name, original_wan_vae_name(name, 3)};
  });
  const auto& tensors = residual ? in_levels : in_a_row;
  const auto base = tensors.side("encoder.conv_in.weight", 5, 0),
             folded = tensors.side("encoder.conv_in.weight", 5, 1),
             channels = tensors.side("post_quant_conv.weight", 5, 0),
             decoder = tensors.side("decoder.norm_out.gamma", 4, 0);
  if (base == 0 || channels == 0 || decoder == 0 || !tensors.has("encoder.mid_block.resnets.0.conv1.weight"))
    return std::nullopt;
  const auto levels = residual ? residual_levels(tensors, resnets) : levels_in_a_row(tensors);
  if (channels != 16 && channels != 48)
    return ConfigFromShapes{{},
                            "its latents have " + std::to_string(channels) +
                                " channels, whose means nobody says; Wan 2.1 has 16, Wan 2.2 TI2V 48"};
  std::vector<int64_t> multiples;
  for (const auto width : levels.widths) multiples.push_back(width / base);
  const auto patch = std::llround(std::sqrt(static_cast<double>(folded) / 3));
  const bool is_22 = channels == 48;
  return ConfigFromShapes{{{"_class_name", "AutoencoderKLWan"},
                           {"base_dim", base},
                           {"decoder_base_dim", decoder},
                           {"z_dim", channels},
                           {"dim_mult", multiples},
                           {"num_res_blocks", levels.resnets},
                           {"temperal_downsample", levels.temporal},
                           {"attn_scales", Json::array()},
                           {"in_channels", folded},
                           {"out_channels", folded},
                           {"patch_size", patch},
                           {"is_residual", residual},
                           {"latents_mean", is_22 ? mean_22 : mean_21},
                           {"latents_std", is_22 ? std_22 : std_21}},
                          ""};
}

std::optional<ConfigFromShapes> t5_from_shapes(const TensorSource& file) {
  const NamedTensors tensors(file, [](const std::string& name) {
    return std::vector<std::string>{name, gguf_t5_name(name), original_wan_t5_name(name)};
  });
  const std::string attention = ".layer.0.SelfAttention.", block = "encoder.block.";
  auto embedding = tensors.shape("shared.weight");
  if (embedding.empty()) embedding = tensors.shape("encoder.embed_tokens.weight");
  const auto inner = tensors.side(block + "0" + attention + "q.weight", 2, 0),
             heads = tensors.side(block + "0" + attention + "relative_attention_bias.weight", 2, 1);
  if (embedding.size() != 2 || inner == 0 || heads == 0 || inner % heads != 0) return std::nullopt;
  const bool everywhere = tensors.has(block + "1" + attention + "relative_attention_bias.weight");
  return ConfigFromShapes{{{"model_type", everywhere ? "umt5" : "t5"},
                           {"d_model", embedding[1]},
                           {"vocab_size", embedding[0]},
                           {"d_kv", inner / heads},
                           {"num_heads", heads},
                           {"d_ff", tensors.side(block + "0.layer.1.DenseReluDense.wi_0.weight", 2, 0)},
                           {"num_layers", tensors.count(block, attention + "q.weight")},
                           {"relative_attention_num_buckets",
                            tensors.side(block + "0" + attention + "relative_attention_bias.weight", 2, 0)},
                           {"relative_attention_max_distance", 128},
                           {"layer_norm_epsilon", 1e-6},
                           {"feed_forward_proj", "gated-gelu"}},
                          ""};
}

std::optional<ConfigFromShapes> clip_vision_from_shapes(const TensorSource& file) {
  const NamedTensors tensors(file, [](const std::string& name) {
    return std::vector<std::string>{name, "vision_model." + name};
  });
  const auto width = tensors.side("embeddings.class_embedding", 1, 0),
             patch = tensors.side("embeddings.patch_embedding.weight", 4, 2),
             tokens = tensors.side("embeddings.position_embedding.weight", 2, 0);
  if (width == 0 || patch == 0 || patch > 1024 || tokens < 2 || tokens > 1 << 24) return std::nullopt;
  constexpr int64_t head = 80;  // of ViT-H/14
  if (width % head != 0)
    return ConfigFromShapes{{},
                            "its width " + std::to_string(width) +
                                " is no multiple of 80, the width of the heads of Wan's ViT-H/14"};
  const auto grid = std::llround(std::sqrt(static_cast<double>(tokens - 1)));
  return ConfigFromShapes{{{"model_type", "clip_vision_model"},
                           {"hidden_size", width},
                           {"intermediate_size", tensors.side("encoder.layers.0.mlp.fc1.weight", 2, 0)},
                           {"num_hidden_layers", tensors.count("encoder.layers.", ".mlp.fc1.weight")},
                           {"num_attention_heads", width / head},
                           {"image_size", grid * patch},
                           {"patch_size", patch},
                           {"hidden_act", "gelu"},
                           {"layer_norm_eps", 1e-5}},
                          ""};
}

Json clip_vision_processor(int64_t image_size) {
  // Source: CLIPImageProcessor of Wan2.1-I2V-14B's folder: those of OpenAI's CLIP.
  return {{"size", {{"shortest_edge", image_size}}},
          {"crop_size", {{"height", image_size}, {"width", image_size}}},
          {"image_mean", {0.48145466, 0.4578275, 0.40821073}},
          {"image_std", {0.26862954, 0.26130258, 0.27577711}},
          {"resample", 3}};
}

}  // namespace t2v
