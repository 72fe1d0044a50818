#include "models/architectures.h"

#include "base/utf8.h"
#include "t2v/error.h"

namespace t2v {

namespace {

struct WanShape {
  const char* name;
  int64_t heads, ffn, layers;
  bool large_vae;  // of Wan 2.2: 16x16 pixels to a latent
  bool two_experts;
};
// Source: the config.json files of Wan-AI's diffusers folders.
constexpr WanShape shapes[] = {{"wan2.1-t2v-1.3b", 12, 8960, 30, false, false},
                               {"wan2.1-t2v-14b", 40, 13824, 40, false, false},
                               {"wan2.2-t2v-a14b", 40, 13824, 40, false, true},
                               {"wan2.2-ti2v-5b", 24, 14336, 30, true, false}};

Json text_encoder_config() {
  return {{"model_type", "umt5"},
          {"d_model", 4096},
          {"d_ff", 10240},
          {"d_kv", 64},
          {"num_heads", 64},
          {"num_layers", 24},
          {"vocab_size", 256384},
          {"relative_attention_num_buckets", 32},
          {"relative_attention_max_distance", 128},
          {"layer_norm_epsilon", 1e-6},
          {"feed_forward_proj", "gated-gelu"},
          {"dense_act_fn", "gelu_new"},
          {"is_gated_act", true}};
}

Json transformer_config(const WanShape& shape) {
  const int64_t channels = shape.large_vae ? 48 : 16;
  return {{"_class_name", "WanTransformer3DModel"},
          {"attention_head_dim", 128},
          {"num_attention_heads", shape.heads},
          {"num_layers", shape.layers},
          {"ffn_dim", shape.ffn},
          {"freq_dim", 256},
          {"in_channels", channels},
          {"out_channels", channels},
          {"patch_size", {1, 2, 2}},
          {"text_dim", 4096},
          {"image_dim", nullptr},
          {"added_kv_proj_dim", nullptr},
          {"pos_embed_seq_len", nullptr},
          {"cross_attn_norm", true},
          {"qk_norm", "rms_norm_across_heads"},
          {"rope_max_seq_len", 1024},
          {"eps", 1e-6}};
}

Json vae_config(bool large) {
  const std::size_t channels = large ? 48 : 16;
  Json config = {{"_class_name", "AutoencoderKLWan"},
                 {"base_dim", large ? 160 : 96},
                 {"z_dim", channels},
                 {"dim_mult", {1, 2, 4, 4}},
                 {"num_res_blocks", 2},
                 {"attn_scales", Json::array()},
                 {"temperal_downsample", {false, true, true}},
                 {"dropout", 0.0},
                 {"latents_mean", std::vector<double>(channels, 0)},
                 {"latents_std", std::vector<double>(channels, 1)},
                 {"is_residual", large},
                 {"in_channels", large ? 12 : 3},
                 {"out_channels", large ? 12 : 3},
                 {"scale_factor_temporal", 4},
                 {"scale_factor_spatial", large ? 16 : 8}};
  if (large) {
    config["decoder_base_dim"] = 256;
    config["patch_size"] = 2;
  }
  return config;
}

}  // namespace

std::vector<std::string> architecture_names() {
  std::vector<std::string> names;
  for (const auto& shape : shapes) names.emplace_back(shape.name);
  return names;
}

ModelFolder architecture_folder(const std::string& name) {
  for (const auto& shape : shapes) {
    if (name != shape.name) continue;
    ModelFolder folder;
    folder.root = name;
    folder.pipeline_class = "WanPipeline";
    folder.index = {{"_class_name", "WanPipeline"},
                    {"transformer", {"diffusers", "WanTransformer3DModel"}},
                    {"vae", {"diffusers", "AutoencoderKLWan"}},
                    {"text_encoder", {"transformers", "UMT5EncoderModel"}},
                    {"scheduler", {"diffusers", "UniPCMultistepScheduler"}}};
    if (shape.large_vae) folder.index["expand_timesteps"] = true;
    const auto give = [&](const char* component, Json config) {
      folder.given_configs[component] = {std::move(config), name + ", " + component};
    };
    give("text_encoder", text_encoder_config());
    give("transformer", transformer_config(shape));
    if (shape.two_experts) {
      folder.index["boundary_ratio"] = 0.875;
      folder.index["transformer_2"] = {"diffusers", "WanTransformer3DModel"};
      give("transformer_2", transformer_config(shape));
    }
    give("vae", vae_config(shape.large_vae));
    give("scheduler", {{"_class_name", "UniPCMultistepScheduler"},
                       {"num_train_timesteps", 1000},
                       {"prediction_type", "flow_prediction"},
                       {"use_flow_sigmas", true},
                       {"flow_shift", 3.0},
                       {"solver_order", 2}});
    return folder;
  }
  const auto near = nearest_name(name, architecture_names());
  throw Error(ErrorKind::usage,
              "no architecture '" + name + "'" + (near ? "; did you mean '" + *near + "'?" : ""));
}

}  // namespace t2v
