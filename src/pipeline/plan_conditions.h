// Tasks beside text to video: from flags to conditions on a clip.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "models/model.h"
#include "pipeline/source_frames.h"
#include "t2v/request.h"

namespace t2v {

// Whether the request names a picture or video to begin from. Throws Error{usage} for flags that do not go
// together.
bool has_task(const GenerationRequest& request);

// Width over height of the picture or video that gives the clip its shape, where the request does not say it.
std::optional<double> aspect_of_task(const GenerationRequest& request,
                                     const std::map<std::string, SourceInfo>& sources);

// Looks at every file that the task names. known: what was looked at before, at this rate.
void look_at_sources(const GenerationRequest& request, double fps, std::map<std::string, SourceInfo>& known);

// plan.frames, plan.conditions and what goes with them; plan.fps and the size are there. wanted: frames that
// are asked for, where they are.
void plan_conditions(GenerationPlan& plan, const GenerationRequest& request, const Model& model,
                     const std::map<std::string, SourceInfo>& sources, std::optional<int64_t> wanted);

}  // namespace t2v
