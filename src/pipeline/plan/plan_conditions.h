// Tasks beside text to video: from flags to conditions on a clip.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "pipeline/components.h"
#include "pipeline/plan/storyboard.h"
#include "pipeline/source_frames.h"
#include "t2v/request.h"

namespace t2v {

using Sources = std::map<std::string, SourceInfo>;  // by file

// Whether the request names a task. Throws Error{usage} for flags that do not go together.
bool has_task(const GenerationRequest& request);

// Throws Error{usage} unless the request names the pictures that a model reads, and no other task.
void require_pictures(const GenerationRequest& request, const PictureInputs& inputs);

// Every file that the task and the storyboard name; the first gives the clip its shape.
std::vector<std::string> sources_of(const GenerationRequest& request,
                                    const std::optional<Storyboard>& storyboard);

// plan.frames and plan.conditions; plan.fps and the size are there. wanted: frames that are asked for, where
// they are.
void plan_conditions(GenerationPlan& plan, const ModelConfigs& configs, const Sources& sources,
                     std::optional<int64_t> wanted);

// plan.conditions of a storyboard's pins; plan.windows are there.
void plan_pins(GenerationPlan& plan, const Storyboard& storyboard, const Model& model,
               const Sources& sources);

// How the files become frames of the clip, and what the sidecar needs to make it again.
void plan_sources(GenerationPlan& plan, const std::vector<std::string>& files, const Sources& sources);

}  // namespace t2v
