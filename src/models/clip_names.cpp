#include "models/clip_names.h"

namespace t2v {

namespace {

// Rows of a fused matrix: q, k or v.
void add_fused(std::map<std::string, TensorPart>& parts, const std::string& layer, const std::string& block) {
  const char* names[] = {".self_attn.q_proj", ".self_attn.k_proj", ".self_attn.v_proj"};
  for (int64_t i = 0; i < 3; ++i)
    for (const char* parameter : {".weight", ".bias"})
      parts[layer + names[i] + parameter] = {block + ".attn.to_qkv" + parameter, i, 3};
}

}  // namespace

std::shared_ptr<const TensorSource> with_clip_names(std::shared_ptr<const TensorSource> file) {
  const std::string visual = "visual.";
  if (!file->find(visual + "cls_embedding") || !file->find(visual + "transformer.0.attn.to_qkv.weight"))
    return file;
  std::map<std::string, TensorPart> parts;
  parts["embeddings.class_embedding"] = {visual + "cls_embedding", 0, 1, 1};
  parts["embeddings.position_embedding.weight"] = {visual + "pos_embedding", 0, 1, 2};
  parts["embeddings.patch_embedding.weight"] = {visual + "patch_embedding.weight"};
  const auto add = [&](const std::string& here, const std::string& there) {
    for (const char* parameter : {".weight", ".bias"}) parts[here + parameter] = {there + parameter};
  };
  add("pre_layrnorm", visual + "pre_norm");
  add("post_layernorm", visual + "post_norm");
  for (int64_t i = 0;; ++i) {
    const auto block = visual + "transformer." + std::to_string(i);
    if (!file->find(block + ".attn.to_qkv.weight")) break;
    const auto layer = "encoder.layers." + std::to_string(i);
    add_fused(parts, layer, block);
    add(layer + ".self_attn.out_proj", block + ".attn.proj");
    add(layer + ".layer_norm1", block + ".norm1");
    add(layer + ".layer_norm2", block + ".norm2");
    add(layer + ".mlp.fc1", block + ".mlp.0");
    add(layer + ".mlp.fc2", block + ".mlp.2");
  }
  return cut_tensors(std::move(file), parts);
}

}  // namespace t2v
