// Names and shapes of the tensors in Wan's public checkpoints, of any size. Derived from the reference's code
// and not read from the files: Wan 2.1 wan/modules/model.py, vae.py, t5.py, vace_model.py and Wan 2.2
// vae2_2.py; diffusers scripts/convert_wan_to_diffusers.py.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace t2v::test {

using NamesAndShapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

class ShapeList {
 public:
  void add(const std::string& name, const std::vector<int64_t>& shape) { list.emplace_back(name, shape); }
  // weight [out, in, ...], and a bias of `out` numbers.
  void layer(const std::string& name, const std::vector<int64_t>& weight) {
    add(name + ".weight", weight);
    add(name + ".bias", {weight.front()});
  }
  NamesAndShapes list;
};

struct WanSizes {
  int64_t width = 1536, ffn = 8960, blocks = 30, in = 16, out = 16;
  int64_t image = 0, places = 0;  // of models that read pictures: width and number of their states
  int64_t control = 0;            // blocks of VACE's branch
  int64_t text = 4096, frequencies = 256;
};

inline void add_wan_block(ShapeList& list, const std::string& block, const WanSizes& s) {
  const auto d = s.width;
  list.add(block + ".modulation", {1, 6, d});
  list.layer(block + ".norm3", {d});
  for (const std::string attention : {".self_attn", ".cross_attn"}) {
    for (const char* part : {".q", ".k", ".v", ".o"}) list.layer(block + attention + part, {d, d});
    for (const char* part : {".norm_q", ".norm_k"}) list.add(block + attention + part + ".weight", {d});
  }
  if (s.image > 0) {
    for (const char* part : {".k_img", ".v_img"}) list.layer(block + ".cross_attn" + part, {d, d});
    list.add(block + ".cross_attn.norm_k_img.weight", {d});
  }
  list.layer(block + ".ffn.0", {s.ffn, d});
  list.layer(block + ".ffn.2", {d, s.ffn});
}

inline NamesAndShapes wan_transformer(const WanSizes& s) {
  ShapeList list;
  const auto d = s.width;
  list.layer("patch_embedding", {d, s.in, 1, 2, 2});
  list.layer("text_embedding.0", {d, s.text});
  list.layer("text_embedding.2", {d, d});
  list.layer("time_embedding.0", {d, s.frequencies});
  list.layer("time_embedding.2", {d, d});
  list.layer("time_projection.1", {6 * d, d});
  for (int64_t i = 0; i < s.blocks; ++i) add_wan_block(list, "blocks." + std::to_string(i), s);
  list.add("head.modulation", {1, 2, d});
  list.layer("head.head", {4 * s.out, d});
  if (s.image > 0) {
    list.layer("img_emb.proj.0", {s.image});
    list.layer("img_emb.proj.1", {s.image, s.image});
    list.layer("img_emb.proj.3", {d, s.image});
    list.layer("img_emb.proj.4", {d});
    if (s.places > 0) list.add("img_emb.emb_pos", {1, s.places, s.image});
  }
  if (s.control > 0) list.layer("vace_patch_embedding", {d, 96, 1, 2, 2});
  for (int64_t i = 0; i < s.control; ++i) {
    const auto block = "vace_blocks." + std::to_string(i);
    add_wan_block(list, block, s);
    if (i == 0) list.layer(block + ".before_proj", {d, d});
    list.layer(block + ".after_proj", {d, d});
  }
  return list.list;
}

class VaeList : public ShapeList {
 public:
  void residual(const std::string& name, int64_t in, int64_t out) {
    add(name + ".residual.0.gamma", {in, 1, 1, 1});
    layer(name + ".residual.2", {out, in, 3, 3, 3});
    add(name + ".residual.3.gamma", {out, 1, 1, 1});
    layer(name + ".residual.6", {out, out, 3, 3, 3});
    if (in != out) layer(name + ".shortcut", {out, in, 1, 1, 1});
  }
  void middle(const std::string& side, int64_t width) {
    residual(side + ".middle.0", width, width);
    add(side + ".middle.1.norm.gamma", {width, 1, 1});
    layer(side + ".middle.1.to_qkv", {3 * width, width, 1, 1});
    layer(side + ".middle.1.proj", {width, width, 1, 1});
    residual(side + ".middle.2", width, width);
  }
  void head(const std::string& side, int64_t width, int64_t out) {
    add(side + ".head.0.gamma", {width, 1, 1, 1});
    layer(side + ".head.2", {out, width, 3, 3, 3});
  }
};

// Of Wan 2.1: 96 wide in public.
inline NamesAndShapes wan_21_vae(int64_t base) {
  VaeList list;
  const int64_t z = 16, down[] = {base, base, 2 * base, 4 * base, 4 * base};
  list.layer("conv1", {2 * z, 2 * z, 1, 1, 1});
  list.layer("conv2", {z, z, 1, 1, 1});
  list.layer("encoder.conv1", {base, 3, 3, 3, 3});
  int64_t place = 0;
  for (int level = 0; level < 4; ++level) {
    const auto next = [&] { return "encoder.downsamples." + std::to_string(place++); };
    list.residual(next(), down[level], down[level + 1]);
    list.residual(next(), down[level + 1], down[level + 1]);
    if (level == 3) break;
    const auto name = next();
    list.layer(name + ".resample.1", {down[level + 1], down[level + 1], 3, 3});
    if (level > 0) list.layer(name + ".time_conv", {down[level + 1], down[level + 1], 3, 1, 1});
  }
  list.middle("encoder", 4 * base);
  list.head("encoder", 4 * base, 2 * z);
  const int64_t up[] = {4 * base, 4 * base, 4 * base, 2 * base, base};
  list.layer("decoder.conv1", {4 * base, z, 3, 3, 3});
  list.middle("decoder", 4 * base);
  place = 0;
  for (int level = 0; level < 4; ++level) {
    const auto next = [&] { return "decoder.upsamples." + std::to_string(place++); };
    const auto in = level == 0 ? up[0] : up[level] / 2, out = up[level + 1];
    list.residual(next(), in, out);
    list.residual(next(), out, out);
    list.residual(next(), out, out);
    if (level == 3) break;
    const auto name = next();
    list.layer(name + ".resample.1", {out / 2, out, 3, 3});
    if (level < 2) list.layer(name + ".time_conv", {2 * out, out, 3, 1, 1});
  }
  list.head("decoder", base, 3);
  return list.list;
}

// Of Wan 2.2 TI2V: 160 and 256 wide in public.
inline NamesAndShapes wan_22_vae(int64_t base, int64_t decoder) {
  VaeList list;
  const int64_t z = 48, multiples[] = {1, 1, 2, 4, 4};
  list.layer("conv1", {2 * z, 2 * z, 1, 1, 1});
  list.layer("conv2", {z, z, 1, 1, 1});
  list.layer("encoder.conv1", {base, 12, 3, 3, 3});
  for (int level = 0; level < 4; ++level) {
    const auto name = "encoder.downsamples." + std::to_string(level) + ".downsamples.";
    const auto in = base * multiples[level], out = base * multiples[level + 1];
    list.residual(name + "0", in, out);
    list.residual(name + "1", out, out);
    if (level == 3) break;
    list.layer(name + "2.resample.1", {out, out, 3, 3});
    if (level > 0) list.layer(name + "2.time_conv", {out, out, 3, 1, 1});
  }
  list.middle("encoder", 4 * base);
  list.head("encoder", 4 * base, 2 * z);
  list.layer("decoder.conv1", {4 * decoder, z, 3, 3, 3});
  list.middle("decoder", 4 * decoder);
  const int64_t up[] = {4, 4, 4, 2, 1};
  for (int level = 0; level < 4; ++level) {
    const auto name = "decoder.upsamples." + std::to_string(level) + ".upsamples.";
    const auto in = decoder * up[level], out = decoder * up[level + 1];
    list.residual(name + "0", in, out);
    list.residual(name + "1", out, out);
    list.residual(name + "2", out, out);
    if (level == 3) break;
    list.layer(name + "3.resample.1", {out, out, 3, 3});
    if (level < 2) list.layer(name + "3.time_conv", {2 * out, out, 3, 1, 1});
  }
  list.head("decoder", decoder, 12);
  return list.list;
}

struct TextSizes {
  int64_t width = 4096, inner = 4096, ffn = 10240, heads = 64, layers = 24, vocabulary = 256384;
};

struct ImageSizes {
  int64_t width = 1280, ffn = 5120, layers = 32, patch = 14, tokens = 257;
};

// CLIP's vision encoder under transformers' names, as CLIPVisionModelWithProjection (ComfyUI's
// clip_vision_h).
inline NamesAndShapes clip_vision(const ImageSizes& s) {
  ShapeList list;
  const std::string model = "vision_model.";
  list.add(model + "embeddings.class_embedding", {s.width});
  list.add(model + "embeddings.patch_embedding.weight", {s.width, 3, s.patch, s.patch});
  list.add(model + "embeddings.position_embedding.weight", {s.tokens, s.width});
  for (const char* norm : {"pre_layrnorm", "post_layernorm"}) list.layer(model + norm, {s.width});
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto layer = model + "encoder.layers." + std::to_string(i);
    for (const char* norm : {".layer_norm1", ".layer_norm2"}) list.layer(layer + norm, {s.width});
    for (const char* part : {".q_proj", ".k_proj", ".v_proj", ".out_proj"})
      list.layer(layer + ".self_attn" + part, {s.width, s.width});
    list.layer(layer + ".mlp.fc1", {s.ffn, s.width});
    list.layer(layer + ".mlp.fc2", {s.width, s.ffn});
  }
  list.add("visual_projection.weight", {1024, s.width});
  return list.list;
}

// The same as Wan's own checkpoint has it, beside a text encoder. Source: wan/modules/clip.py.
inline NamesAndShapes open_clip_vision(const ImageSizes& s) {
  ShapeList list;
  list.add("log_scale", {});
  list.add("textual.token_embedding.weight", {8, 4});
  list.add("visual.cls_embedding", {1, 1, s.width});
  list.add("visual.pos_embedding", {1, s.tokens, s.width});
  list.add("visual.patch_embedding.weight", {s.width, 3, s.patch, s.patch});
  list.add("visual.head", {s.width, 1024});
  for (const char* norm : {"visual.pre_norm", "visual.post_norm"}) list.layer(norm, {s.width});
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto block = "visual.transformer." + std::to_string(i);
    for (const char* norm : {".norm1", ".norm2"}) list.layer(block + norm, {s.width});
    list.layer(block + ".attn.to_qkv", {3 * s.width, s.width});
    list.layer(block + ".attn.proj", {s.width, s.width});
    list.layer(block + ".mlp.0", {s.ffn, s.width});
    list.layer(block + ".mlp.2", {s.width, s.ffn});
  }
  return list.list;
}

// UMT5 under the names of Wan's own checkpoints.
inline NamesAndShapes wan_umt5(const TextSizes& s) {
  ShapeList list;
  list.add("token_embedding.weight", {s.vocabulary, s.width});
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto block = "blocks." + std::to_string(i);
    list.add(block + ".norm1.weight", {s.width});
    list.add(block + ".norm2.weight", {s.width});
    for (const char* part : {".attn.q", ".attn.k", ".attn.v"})
      list.add(block + part + ".weight", {s.inner, s.width});
    list.add(block + ".attn.o.weight", {s.width, s.inner});
    list.add(block + ".ffn.gate.0.weight", {s.ffn, s.width});
    list.add(block + ".ffn.fc1.weight", {s.ffn, s.width});
    list.add(block + ".ffn.fc2.weight", {s.width, s.ffn});
    list.add(block + ".pos_embedding.embedding.weight", {32, s.heads});
  }
  list.add("norm.weight", {s.width});
  return list.list;
}

}  // namespace t2v::test
