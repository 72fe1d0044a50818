#include "models/wan/skyreels.h"

namespace t2v {

namespace {

// Source: the arguments' defaults in each pipeline's __call__; 120 frames are rounded to 121 there.
constexpr SkyReelsPipeline pipelines[] = {{"SkyReelsV2Pipeline", false, 97, 6},
                                          {"SkyReelsV2ImageToVideoPipeline", false, 97, 5},
                                          {"SkyReelsV2DiffusionForcingPipeline", true, 97, 6},
                                          {"SkyReelsV2DiffusionForcingImageToVideoPipeline", true, 97, 5},
                                          {"SkyReelsV2DiffusionForcingVideoToVideoPipeline", true, 121, 6}};
constexpr int64_t base_num_frames = 97;
constexpr int64_t overlap_history = 17;  // which has no default; as the docs of the argument recommend

}  // namespace

std::optional<SkyReelsPipeline> skyreels_pipeline(const std::string& pipeline_class) {
  for (const auto& pipeline : pipelines)
    if (pipeline_class == pipeline.pipeline_class) return pipeline;
  return std::nullopt;
}

ModelDefaults defaults_of(const SkyReelsPipeline& pipeline) {
  ModelDefaults defaults;
  defaults.settings = {{"width", 960}, {"height", 544}, {"frames", pipeline.frames},
                       {"fps", 24},    {"steps", 50},   {"guidance_scale", pipeline.guidance_scale}};
  defaults.max_text_tokens = 512;
  if (!pipeline.forces_frames) return defaults;
  // Where they are the same, a longer `frames` of t2v.json is the window's too.
  if (pipeline.frames != base_num_frames) defaults.settings["window"] = base_num_frames;
  defaults.settings["overlap"] = overlap_history;
  defaults.per_frame_timesteps = true;
  return defaults;
}

}  // namespace t2v
