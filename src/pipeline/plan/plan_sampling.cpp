#include "pipeline/plan/plan_parts.h"
#include "pipeline/source_frames.h"

#include <algorithm>

namespace t2v {

namespace {

// Where in the schedule a clip begins that is made from content. Source: diffusers
// pipeline_wan_video2video.py, get_timesteps.
void plan_first_step(GenerationPlan& plan) {
  for (const auto& condition : plan.conditions)
    if (condition.strength > 0)
      plan.first_step = plan.steps -
                        std::max<int64_t>(
                            1, static_cast<int64_t>(static_cast<double>(plan.steps) * condition.strength));
}

// Of both experts, where the model has two.
void plan_guidance(GenerationPlan& plan, const GenerationRequest& request, bool has_two_experts) {
  const auto& settings = plan.settings;
  plan.guidance_scale = *settings.guidance_scale;
  if (has_two_experts) {
    plan.guidance_scale_2 = settings.guidance_scale_2.value_or(plan.guidance_scale);
    if (plan.guidance_scale <= 1 && *plan.guidance_scale_2 > 1)
      plan.notes.push_back("--guidance-scale of 1 or less turns guidance off for both experts");
  } else if (request.guidance_scale_2) {
    refuse("--guidance-scale-2 is for models with two experts; this model has one");
  }
  plan.guidance_rescale = settings.guidance_rescale.value_or(0.0);
}

// The steps, and where the request says them, their timesteps or sigmas.
void plan_levels(GenerationPlan& plan, const GenerationRequest& request) {
  const auto count = [](const auto& list) { return list ? static_cast<int64_t>(list->size()) : 0; };
  const auto given = std::max(count(request.timesteps), count(request.sigmas));
  const std::string flag = request.timesteps ? "--timesteps" : "--sigmas";
  if (given > 0 && request.steps && *request.steps != given)
    refuse(flag + " has a value for each of " + std::to_string(given) + " steps, and --steps says " +
           std::to_string(*request.steps) + "; leave out --steps");
  plan.steps = given > 0 ? given : *plan.settings.steps;
}

}  // namespace

void plan_control(GenerationPlan& plan, bool reads_control) {
  auto& settings = plan.settings;
  for (const auto& [given, flag] : {std::pair{settings.control.has_value(), "--control"},
                                    {settings.control_scale.has_value(), "--control-scale"},
                                    {settings.reference.has_value(), "--reference"}})
    if (given && !reads_control) refuse(std::string(flag) + " needs a VACE model");
  plan.reads_control = reads_control;
  if (reads_control && !settings.control_scale) settings.control_scale = 1;
  if (reads_control && settings.storyboard)
    refuse("--storyboard needs a text-to-video model; this one reads one clip with --control or --edit");
  if (reads_control && settings.strength && *settings.strength != 1)
    refuse("--strength: a VACE model reads what it goes on from, and makes all else anew");
}

void plan_references(GenerationPlan& plan) {
  plan.references = plan.settings.reference.value_or(std::vector<std::string>());
  for (const auto& file : plan.references) {
    const auto info = look_at_source(file, plan.fps);
    if (info.is_video) refuse("--reference " + file + ": is a video; a reference is a picture");
    plan.sources[file] = info.hash;
  }
}

void plan_tokens(GenerationPlan& plan, const Model& model) {
  const auto shape = model.vae().latent_shape(plan.windows.front().frames, plan.width, plan.height);
  plan.latent_shape = {1};
  plan.latent_shape.insert(plan.latent_shape.end(), shape.begin(), shape.end());
  plan.latent_shape[2] += static_cast<int64_t>(plan.references.size());  // a latent frame each, before the
                                                                         // clip
  for (auto& window : plan.windows)
    window.latent_frames = plan.latent_shape[2] - shape[1] + model.vae().latent_frames(window.frames);
  auto grid = token_grid(at::IntArrayRef(plan.latent_shape).slice(1), model.patch_size());
  const int64_t longest = std::max({grid.t, grid.h, grid.w});
  if (longest > model.longest_axis())
    refuse("the clip would be " + std::to_string(longest) +
           " patches long on one axis; the model knows positions up to " +
           std::to_string(model.longest_axis()) + ". Ask for fewer frames or a smaller size.");
  if (plan.settings.loop.value_or(false)) {  // a first latent for each window, and those of the frames
    grid.t = static_cast<int64_t>(plan.windows.size()) + plan.frames / model.vae().temporal_ratio;
    plan.latent_shape[2] = grid.t;
    for (auto& window : plan.windows) window.latent_frames = grid.t;  // they are made together
  }
  plan.tokens = grid.count();
}

void plan_sampling(GenerationPlan& plan, const GenerationRequest& request, const ModelConfigs& configs) {
  plan_levels(plan, request);
  plan_guidance(plan, request, configs.model->boundary_timestep().has_value());
  plan.scheduler = request.scheduler ? *request.scheduler : default_scheduler(configs);
  plan.eta = request.eta.value_or(0.0);
  const auto& scheduler = configs.scheduler;
  if (scheduler.use_flow_sigmas) {
    plan.flow_shift = request.flow_shift;
    if (!plan.flow_shift && !scheduler.use_dynamic_shifting) plan.flow_shift = scheduler.flow_shift;
  } else if (request.flow_shift) {
    refuse("--flow-shift is for flow-matching models; this model's scheduler has no flow sigmas");
  }
  planned_scheduler(plan, configs);  // checks steps, eta, timesteps, sigmas and prediction type
  if (scheduler.use_flow_sigmas && request.timesteps && plan.flow_shift != 1.0)
    plan.notes.push_back(
        "--timesteps are told to the network as they are, and the noise levels that go with them are "
        "shifted; "
        "--flow-shift 1 keeps the two together, and so does --sigmas");
  plan_first_step(plan);
  plan.branches = plan.guidance_scale > 1 ? 2 : 1;
}

}  // namespace t2v
