#include "models/wan/wan_names.h"

#include <optional>
#include <regex>
#include <utility>
#include <vector>

namespace t2v {

namespace {

// The first of the pairs that begins the name is replaced.
bool replace_beginning(std::string& name, const std::vector<std::pair<std::string, std::string>>& pairs) {
  for (const auto& [here, original] : pairs)
    if (name.starts_with(here)) {
      name = original + name.substr(here.size());
      return true;
    }
  return false;
}

// "norm1.gamma" of a residual block → "residual.0.gamma"
std::string original_residual(const std::string& name) {
  auto part = name;
  replace_beginning(part, {{"norm1.", "residual.0."},
                           {"conv1.", "residual.2."},
                           {"norm2.", "residual.3."},
                           {"conv2.", "residual.6."},
                           {"conv_shortcut.", "shortcut."}});
  return part;
}

}  // namespace

std::string original_wan_transformer_name(std::string name) {
  if (name == "scale_shift_table") return "head.modulation";
  if (replace_beginning(name, {{"proj_out.", "head.head."},
                               {"condition_embedder.time_embedder.linear_1.", "time_embedding.0."},
                               {"condition_embedder.time_embedder.linear_2.", "time_embedding.2."},
                               {"condition_embedder.text_embedder.linear_1.", "text_embedding.0."},
                               {"condition_embedder.text_embedder.linear_2.", "text_embedding.2."},
                               {"condition_embedder.time_proj.", "time_projection.1."},
                               {"fps_projection.net.0.proj.", "fps_projection.0."},
                               {"fps_projection.net.2.", "fps_projection.2."},
                               {"condition_embedder.image_embedder.norm1.", "img_emb.proj.0."},
                               {"condition_embedder.image_embedder.ff.net.0.proj.", "img_emb.proj.1."},
                               {"condition_embedder.image_embedder.ff.net.2.", "img_emb.proj.3."},
                               {"condition_embedder.image_embedder.norm2.", "img_emb.proj.4."},
                               {"condition_embedder.image_embedder.pos_embed", "img_emb.emb_pos"}}))
    return name;
  static const std::regex block("((?:vace_)?blocks\\.[0-9]+\\.)(.*)");
  std::smatch match;
  if (!std::regex_match(name, match, block)) return name;
  auto part = match[2].str();
  if (part == "scale_shift_table") return match[1].str() + "modulation";
  replace_beginning(part, {{"attn1.to_q.", "self_attn.q."},
                           {"attn1.to_k.", "self_attn.k."},
                           {"attn1.to_v.", "self_attn.v."},
                           {"attn1.to_out.0.", "self_attn.o."},
                           {"attn1.norm_", "self_attn.norm_"},
                           {"attn2.to_q.", "cross_attn.q."},
                           {"attn2.to_k.", "cross_attn.k."},
                           {"attn2.to_v.", "cross_attn.v."},
                           {"attn2.to_out.0.", "cross_attn.o."},
                           {"attn2.add_k_proj.", "cross_attn.k_img."},
                           {"attn2.add_v_proj.", "cross_attn.v_img."},
                           {"attn2.norm_added_k.", "cross_attn.norm_k_img."},
                           {"attn2.norm_", "cross_attn.norm_"},
                           {"ffn.net.0.proj.", "ffn.0."},
                           {"ffn.net.2.", "ffn.2."},
                           {"norm2.", "norm3."},
                           {"proj_in.", "before_proj."},
                           {"proj_out.", "after_proj."}});
  return match[1].str() + part;
}

namespace {

// What the autoencoders of 2.1 and 2.2 have alike: all but their levels.
std::optional<std::string> original_outside_levels(const std::string& name) {
  auto whole = name;
  if (replace_beginning(whole, {{"quant_conv.", "conv1."}, {"post_quant_conv.", "conv2."}})) return whole;
  static const std::regex side("(encoder|decoder)\\.(.*)"),
      middle("mid_block\\.(resnets|attentions)\\.([01])\\.(.*)");
  std::smatch match;
  if (!std::regex_match(name, match, side)) return name;
  const auto prefix = match[1].str() + ".";
  auto part = match[2].str();
  if (replace_beginning(part, {{"conv_in.", "conv1."}, {"norm_out.", "head.0."}, {"conv_out.", "head.2."}}))
    return prefix + part;
  if (std::smatch found; std::regex_match(part, found, middle)) {
    if (found[1] == "attentions") return prefix + "middle.1." + found[3].str();
    return prefix + "middle." + (found[2] == "0" ? "0." : "2.") + original_residual(found[3]);
  }
  return std::nullopt;
}

}  // namespace

std::string original_wan_vae_name(const std::string& name, int64_t resnets) {
  if (const auto original = original_outside_levels(name)) return *original;
  static const std::regex down("encoder\\.down_blocks\\.([0-9]+)\\.(.*)"),
      up("decoder\\.up_blocks\\.([0-9]+)\\.(resnets|upsamplers)\\.([0-9]+)\\.(.*)");
  if (std::smatch found; std::regex_match(name, found, down))
    return "encoder.downsamples." + found[1].str() + "." + original_residual(found[2]);
  if (std::smatch found; std::regex_match(name, found, up)) {
    // Original upsamples are numbered through: the resnets of a level, then its upsampler.
    const bool is_resnet = found[2] == "resnets";
    const auto place = std::stoll(found[1]) * (resnets + 1) + (is_resnet ? std::stoll(found[3]) : resnets);
    return "decoder.upsamples." + std::to_string(place) + "." +
           (is_resnet ? original_residual(found[4]) : found[4].str());
  }
  return name;
}

std::string original_wan_residual_vae_name(const std::string& name, int64_t resnets) {
  if (const auto original = original_outside_levels(name)) return *original;
  // A level's resnets, and behind them what changes the size.
  static const std::regex resnet("(en|de)coder\\.(down|up)_blocks\\.([0-9]+)\\.resnets\\.([0-9]+)\\.(.*)"),
      sampler("(en|de)coder\\.(down|up)_blocks\\.([0-9]+)\\.(?:down|up)sampler\\.(.*)");
  const auto level = [](const std::smatch& found) {
    const auto samples = found[2].str() + "samples.";
    return found[1].str() + "coder." + samples + found[3].str() + "." + samples;
  };
  std::smatch found;
  if (std::regex_match(name, found, resnet))
    return level(found) + found[4].str() + "." + original_residual(found[5]);
  if (std::regex_match(name, found, sampler))
    return level(found) + std::to_string(found[2] == "down" ? resnets : resnets + 1) + "." + found[4].str();
  return name;
}

std::string original_wan_t5_name(const std::string& name) {
  if (name == "shared.weight") return "token_embedding.weight";
  if (name == "encoder.final_layer_norm.weight") return "norm.weight";
  static const std::regex block("encoder\\.block\\.([0-9]+)\\.layer\\.(.*)\\.weight");
  std::smatch found;
  if (!std::regex_match(name, found, block)) return name;
  static const std::pair<const char*, const char*> parts[] = {
      {"0.layer_norm", "norm1"},
      {"0.SelfAttention.q", "attn.q"},
      {"0.SelfAttention.k", "attn.k"},
      {"0.SelfAttention.v", "attn.v"},
      {"0.SelfAttention.o", "attn.o"},
      {"0.SelfAttention.relative_attention_bias", "pos_embedding.embedding"},
      {"1.layer_norm", "norm2"},
      {"1.DenseReluDense.wi_0", "ffn.gate.0"},
      {"1.DenseReluDense.wi_1", "ffn.fc1"},
      {"1.DenseReluDense.wo", "ffn.fc2"}};
  for (const auto& [here, there] : parts)
    if (found[2] == here) return "blocks." + found[1].str() + "." + there + ".weight";
  return name;
}

}  // namespace t2v
