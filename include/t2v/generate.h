// Text to video, in two steps: decide what will be done, then do it.
#pragma once

#include <functional>
#include <string>

#include "t2v/observer.h"
#include "t2v/request.h"

namespace t2v {

// Resolves sizes, defaults and file names and checks everything that can be checked before weights are loaded: prompt, output names and
// folders, the model's configs. Throws Error{usage, bad_input, output}.
GenerationPlan plan_generation(const GenerationRequest& request);

// The plan as a JSON document, for people and scripts.
std::string plan_to_json(const GenerationPlan& plan);

// Makes the clips. `finished` is called as each file gets its final name. Throws Error; what was finished before stays.
GenerationResult generate(const GenerationPlan& plan, Observer& observer, const std::function<void(const ClipResult&)>& finished);

std::string version();

}  // namespace t2v
