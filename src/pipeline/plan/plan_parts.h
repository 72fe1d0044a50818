// The parts of planning, in the order in which Planner::plan calls them. plan.settings is there, the request
// over the model's defaults; each part fills in what the ones before left open. All throw Error{usage} for
// what cannot be done. request: for what is to be known of what was asked for itself.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "pipeline/components.h"
#include "pipeline/plan/sizes.h"
#include "pipeline/plan/storyboard.h"
#include "t2v/request.h"
#include "text/tokenizer.h"

namespace t2v {

[[noreturn]] void refuse(const std::string& what);

// Frames that are asked for, where they are; by plan.fps.
std::optional<int64_t> wanted_frames(const GenerationPlan& plan, const GenerationRequest& request);

// plan.width and plan.height. source: the size of what the clip is made from, which gives it its shape where
// nothing else does.
void plan_size(GenerationPlan& plan, const GenerationRequest& request, const GenerationRequest& defaults,
               int64_t multiple, const std::optional<PixelSize>& source);

// plan.frames of a clip of text alone.
void plan_length(GenerationPlan& plan, int64_t wanted, int64_t frame_step);

// The clip's shots, and its length where the storyboard says it.
void plan_shots(GenerationPlan& plan, const std::optional<Storyboard>& storyboard);

// In how many windows the clip is made. A model without a noise level per frame makes it in one pass.
void plan_windows(GenerationPlan& plan, const GenerationRequest& request, const ModelConfigs& configs);

// With what the conditions have beyond the clip's ends.
void plan_written_frames(GenerationPlan& plan);

// What a network with a control branch reads.
void plan_control(GenerationPlan& plan, bool reads_control);

// Pictures that a control branch reads beside the clip, and their hashes.
void plan_references(GenerationPlan& plan);

// plan.latent_shape and plan.tokens, of a window.
void plan_tokens(GenerationPlan& plan, const Model& model);

// Steps, guidance, scheduler.
void plan_sampling(GenerationPlan& plan, const GenerationRequest& request, const ModelConfigs& configs);

// Prompts as the text encoder gets them. Notes what of them it does not read.
void plan_text(GenerationPlan& plan, const Model& model, const Tokenizer& tokenizer);

// plan.clips. writable: folders that need not be probed again.
void plan_outputs(GenerationPlan& plan, const GenerationRequest& request, std::set<std::string>& writable);

// Puts what the other parts made of the settings into plan.settings.
void record_settings(GenerationPlan& plan, const GenerationRequest& request);

}  // namespace t2v
