// What a finished file says about how it was made.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "t2v/request.h"

namespace t2v {

// The settings that make one clip of a plan again, as --config takes them.
Json settings_of_clip(const GenerationPlan& plan, const PlannedClip& clip);

// The sidecar: settings, model hash, versions, and the IPTC digital source type that marks synthetic media.
Json provenance_of_clip(const GenerationPlan& plan, const PlannedClip& clip, const std::string& model_hash);

// The same for the container's own metadata: title, comment (the provenance as JSON) and digital_source_type.
std::vector<std::pair<std::string, std::string>> container_metadata(const GenerationPlan& plan,
                                                                    const PlannedClip& clip,
                                                                    const std::string& model_hash);

}  // namespace t2v
