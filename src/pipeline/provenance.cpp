#include "pipeline/provenance.h"

#include <torch/headeronly/version.h>

#include "t2v/generate.h"

namespace t2v {

namespace {

constexpr const char*
    digital_source_type = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia";

}  // namespace

std::string version() { return T2V_VERSION; }

Json settings_of_clip(const GenerationPlan& plan, const PlannedClip& clip) {
  Json settings = {{"model", plan.model},
                   {"prompt", plan.prompt},
                   {"negative_prompt", plan.negative_prompt},
                   {"width", plan.width},
                   {"height", plan.height},
                   {"frames", plan.frames},
                   {"fps", plan.fps},
                   {"seed", clip.seed},
                   {"steps", plan.steps},
                   {"guidance_scale", plan.guidance_scale},
                   {"guidance_rescale", plan.guidance_rescale},
                   {"scheduler", plan.scheduler},
                   {"eta", plan.eta},
                   {"crf", plan.crf},
                   {"device", plan.device},
                   {"dtype", plan.dtype}};
  if (plan.flow_shift) settings["flow_shift"] = *plan.flow_shift;
  if (plan.resize) settings["resize"] = *plan.resize, settings["resize_filter"] = plan.resize_filter;
  if (plan.windows.size() > 1) {
    settings["window"] = plan.window;
    settings["overlap"] = plan.overlap;
    settings["context_noise"] = plan.context_noise;
  }
  if (plan.init_latents) settings["init_latents"] = *plan.init_latents;
  return settings;
}

Json provenance_of_clip(const GenerationPlan& plan, const PlannedClip& clip, const std::string& hash) {
  Json provenance = {{"t2v", version()},
                     {"libtorch", TORCH_VERSION},
                     {"model_hash", hash},
                     {"digital_source_type", digital_source_type},
                     {"settings", settings_of_clip(plan, clip)}};
  if (plan.resize)
    provenance["resampling"] = std::to_string(plan.width) + "x" + std::to_string(plan.height) +
                               " resampled to " + *plan.resize + " (" + plan.resize_filter + ")";
  return provenance;
}

std::vector<std::pair<std::string, std::string>> container_metadata(const GenerationPlan& plan,
                                                                    const PlannedClip& clip,
                                                                    const std::string& hash) {
  return {{"title", plan.prompt},
          {"comment", provenance_of_clip(plan, clip, hash).dump()},
          {"digital_source_type", digital_source_type}};
}

}  // namespace t2v
