#include "models/wan/wan_variants.h"

namespace t2v {

namespace {

// Source: Wan 2.1 generate.py (steps, shift and guidance by task), wan/configs; Wan 2.2 wan/configs, whose
// sample_guide_scale is (low noise, high noise).
constexpr WanFacts t2v_21{
    .name = "Wan 2.1 T2V", .pipeline_class = "WanPipeline", .makes = "video of a prompt"};
constexpr WanFacts t2v_22{.name = "Wan 2.2 T2V A14B",
                          .pipeline_class = "WanPipeline",
                          .makes = "video of a prompt",
                          .boundary_ratio = 0.875,
                          .flow_shift = 12,
                          .guidance_scale = 4,
                          .guidance_scale_2 = 3,
                          .steps = 40};
constexpr WanFacts ti2v_22{.name = "Wan 2.2 TI2V",
                           .pipeline_class = "WanPipeline",
                           .makes = "video of a prompt, and of a first picture or not",
                           .expand_timesteps = true,
                           .width = 1280,
                           .height = 704,
                           .frames = 121,
                           .fps = 24};
constexpr WanFacts i2v_21{.name = "Wan 2.1 I2V",
                          .pipeline_class = "WanImageToVideoPipeline",
                          .makes = "video of a first picture",
                          .flow_shift = 3,
                          .steps = 40};
constexpr WanFacts flf2v_21{.name = "Wan 2.1 FLF2V",
                            .pipeline_class = "WanImageToVideoPipeline",
                            .makes = "video between a first and a last picture",
                            .flow_shift = 16};
constexpr WanFacts i2v_22{.name = "Wan 2.2 I2V A14B",
                          .pipeline_class = "WanImageToVideoPipeline",
                          .makes = "video of a first picture, and to a last one or not",
                          .boundary_ratio = 0.9,
                          .guidance_scale = 3.5,
                          .guidance_scale_2 = 3.5,
                          .steps = 40};
constexpr WanFacts vace_21{.name = "Wan 2.1 VACE",
                           .pipeline_class = "WanVACEPipeline",
                           .makes = "video of a prompt, pictures, video and masks",
                           .flow_shift = 16};

// Source: wan/configs/shared_config.py, sample_neg_prompt.
constexpr const char* negative_prompt =
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，"
    "JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体"
    "，"
    "手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走";

}  // namespace

std::optional<WanFacts> wan_facts(const WanTransformerConfig& config, bool two_experts) {
  const auto in = config.in_channels, out = config.out_channels;
  const bool has_control = !config.vace_layers.empty(), reads_states = config.image_dim > 0;
  if (has_control) {
    if (in != 16 || out != 16 || reads_states) return std::nullopt;
    return vace_21;
  }
  if (in == 16 && out == 16 && !reads_states) return two_experts ? t2v_22 : t2v_21;
  if (in == 48 && out == 48 && !reads_states) return ti2v_22;
  if (in == 36 && out == 16 && reads_states) return config.pos_embed_seq_len > 0 ? flf2v_21 : i2v_21;
  if (in == 36 && out == 16) return i2v_22;
  return std::nullopt;
}

std::string wan_variant_name(const WanFacts& facts, const WanTransformerConfig& config) {
  const std::string name = facts.name;
  if (name.ends_with("A14B")) return name;
  const auto width = config.width();
  return name + (width == 1536   ? " 1.3B"
                 : width == 3072 ? " 5B"
                 : width == 5120 ? " 14B"
                                 : " of " + std::to_string(width) + " channels");
}

ModelDefaults defaults_of(const WanFacts& facts) {
  ModelDefaults defaults;
  defaults.settings = {{"width", facts.width},
                       {"height", facts.height},
                       {"frames", facts.frames},
                       {"fps", facts.fps},
                       {"steps", facts.steps},
                       {"guidance_scale", facts.guidance_scale},
                       {"negative_prompt", negative_prompt}};
  if (facts.guidance_scale_2 > 0) defaults.settings["guidance_scale_2"] = facts.guidance_scale_2;
  return defaults;
}

Json scheduler_of(const WanFacts& facts) {
  return {{"_class_name", "UniPCMultistepScheduler"},
          {"num_train_timesteps", 1000},
          {"prediction_type", "flow_prediction"},
          {"use_flow_sigmas", true},
          {"flow_shift", facts.flow_shift},
          {"solver_order", 2},
          {"solver_type", "bh2"},
          {"predict_x0", true},
          {"lower_order_final", true},
          {"final_sigmas_type", "zero"}};
}

}  // namespace t2v
