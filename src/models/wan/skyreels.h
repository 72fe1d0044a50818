// SkyReels-V2: Wan 2.1's networks with pipelines of their own, most of them for a transformer that was
// trained with a noise level for each latent frame (diffusion forcing). Source: SkyReels-V2 technical report
// (Chen et al. 2025); diffusers pipelines/skyreels_v2.
#pragma once

#include <optional>
#include <string>

#include "weights/model_folder.h"

namespace t2v {

struct SkyReelsPipeline {
  const char* pipeline_class;
  bool forces_frames;  // diffusion forcing
  int64_t frames;
  double guidance_scale;
};

// None for a class of another family.
std::optional<SkyReelsPipeline> skyreels_pipeline(const std::string& pipeline_class);

ModelDefaults defaults_of(const SkyReelsPipeline& pipeline);

}  // namespace t2v
