// From what was asked to what will be done.
#include "base/json_text.h"
#include "pipeline/components.h"
#include "pipeline/frames.h"
#include "pipeline/latents_file.h"
#include "pipeline/plan/memory.h"
#include "pipeline/plan/plan_conditions.h"
#include "pipeline/plan/plan_files.h"
#include "pipeline/plan/plan_parts.h"
#include "pipeline/plan/plan_sound.h"
#include "pipeline/plan/settings.h"
#include "pipeline/provenance.h"
#include "t2v/generate.h"

namespace t2v {

void refuse(const std::string& what) { throw Error(ErrorKind::usage, what); }

namespace {

// One line a LoRA on what of it belongs to no layer.
void note_unused_keys(GenerationPlan& plan, const Model& model) {
  if (model.folder().loras.empty()) return;
  const auto names = lora_names(model);
  for (const auto& [component, loras] : model.folder().loras)
    for (const auto& lora : loras) {
      const auto unused = unused_keys(lora, names);
      if (!unused.empty())
        plan.notes.push_back(lora.file.string() + ": " + std::to_string(unused.size()) +
                             " of its tensors belong to no layer of the transformer and are left out, as '" +
                             unused.front() + "'");
    }
}

void plan_placement(GenerationPlan& plan, const Model& model, const RunShape& shape) {
  const auto offload = shape.offload;
  const bool by_block = offload == Offload::block;
  const auto place = [&](const char* component, const std::string& dtype, const char* residency) {
    plan.placement[component] = {plan.device, dtype, residency};
  };
  place("text_encoder", plan.dtype, by_block ? "block" : "stage");
  place("transformer", plan.dtype, by_block ? "block" : offload == Offload::stage ? "stage" : "resident");
  if (model.boundary_timestep()) plan.placement["transformer_2"] = plan.placement["transformer"];
  if (const auto pictures = model.picture_inputs(); pictures && pictures->are_encoded)
    place("image_encoder", plan.dtype, "stage");
  place("vae", dtype_name(shape.vae_dtype), "resident");
}

// Throws Error{out_of_memory} when no way of making the clips stays within the limit.
void plan_memory(GenerationPlan& plan, const Model& model, const ComponentSizes& sizes, at::Device device,
                 at::ScalarType dtype) {
  const std::vector<ClipSize> clips(plan.clips.size(), clip_size(plan));
  auto& settings = plan.settings;
  const auto asked = parse_offload(settings.offload.value_or("auto"));
  const auto tiles = parse_tiling(settings.vae_tiling.value_or("auto"));
  const auto vae_dtype = parse_vae_dtype(settings.vae_dtype.value_or("auto"), device, dtype);
  const auto shape = shape_run(
      model, sizes, device, dtype, clips,
      {settings.threads, settings.token_budget, plan.memory_limit, asked, tiles, vae_dtype});
  plan.memory = estimate_memory(model, sizes, device, dtype, clips, shape);
  plan_placement(plan, model, shape);
  // Both are of the clip itself, and written where they are not what is usual.
  settings.vae_tiling = shape.tiles ? "on" : tiles ? settings.vae_tiling : std::nullopt;
  settings.vae_dtype = vae_dtype == at::kFloat ? std::nullopt : std::optional(dtype_name(vae_dtype));
  if (shape.tiles && !tiles) {
    const RunShape whole{.decode_chunk = 1, .vae_dtype = vae_dtype};
    plan.notes.push_back(
        "--vae-tiling on: decoding in one piece would take " +
        bytes_text(static_cast<int64_t>(decoding_bytes(model, device, clips.front(), whole))) +
        " of memory beside the rest");
  }
  if (asked || shape.offload == Offload::none) return;
  const RunShape kept{
      .pack_tokens = shape.pack_tokens, .decode_chunk = 1, .tiles = shape.tiles, .vae_dtype = vae_dtype};
  plan.notes.push_back("--offload " + offload_names()[static_cast<std::size_t>(shape.offload)] +
                       ": with all weights kept a clip "
                       "would take " +
                       bytes_text(estimate_memory(model, sizes, device, dtype, {clips.front()}, kept).peak) +
                       " of memory, so it takes " + bytes_text(plan.memory.peak) + " and longer");
}

int64_t bytes_of_weights(const ComponentSizes& sizes, at::ScalarType dtype, at::ScalarType vae_dtype) {
  const auto element = static_cast<int64_t>(c10::elementSize(dtype));
  return weight_bytes(sizes.text_encoder, sizes.packed_text_encoder, element) +
         weight_bytes(sizes.transformer, sizes.packed_transformer, element) + sizes.image_encoder * element +
         sizes.vae * static_cast<int64_t>(c10::elementSize(vae_dtype));
}

// What is neither made nor kept by the parts of planning.
void check_other_settings(GenerationPlan& plan) {
  auto& settings = plan.settings;
  const auto filter = settings.resize_filter.value_or("lanczos");
  if (filter != "lanczos" && filter != "nearest")
    refuse("--resize-filter should be lanczos or nearest, found '" + filter + "'");
  settings.resize_filter = settings.resize ? std::optional(filter) : std::nullopt;
  if (settings.memory_limit) plan.memory_limit = parse_bytes(*settings.memory_limit, "--memory-limit");
}

// What does not fit is refused before weights load.
void check_latents(const GenerationPlan& plan, const ModelFolder& folder) {
  const auto& settings = plan.settings;
  if (plan.windows.size() > 1 && (settings.init_latents || (settings.save_latents && !plan.hands_on_latents)))
    refuse((plan.hands_on_latents ? "--init-latents is" : "--save-latents and --init-latents are") +
           std::string(" of a clip made in one window; this one has ") + std::to_string(plan.windows.size()));
  if (!settings.init_latents) return;
  read_latents(*settings.init_latents, plan.latent_shape);
  require_autoencoder(*settings.init_latents, read_provenance(*settings.init_latents), folder);
}

}  // namespace

struct Planner::OpenModel {
  ModelConfigs configs;
  std::unique_ptr<Tokenizer> tokenizer;
  std::optional<ComponentSizes> sizes;  // once a plan has come so far that weight files are looked at

  explicit OpenModel(const GenerationPlan& plan)
      : configs(read_model_configs(open_planned_folder(plan))), tokenizer(configs.model->load_tokenizer()) {}
};

struct Planner::Sources : std::map<double, t2v::Sources> {};

Planner::Planner() : sources_(std::make_unique<Sources>()) {}
Planner::~Planner() = default;

GenerationPlan plan_generation(const GenerationRequest& request) { return Planner().plan(request); }

void record_settings(GenerationPlan& plan, const GenerationRequest& request) {
  auto& settings = plan.settings;
  settings.model = plan.model.empty() ? std::nullopt : std::optional(plan.model);
  settings.prompt = plan.prompt;
  settings.negative_prompt = plan.negative_prompt;
  settings.size = settings.aspect = std::nullopt;
  settings.width = plan.width;
  settings.height = plan.height;
  settings.fps = plan.fps;
  // What a task made of it depends on its files.
  const bool is_task = !plan.conditions.empty() || settings.storyboard;
  settings.frames = is_task ? request.frames : plan.frames;
  settings.seconds = is_task ? request.seconds : std::nullopt;
  if (settings.loop.value_or(false)) {
    settings.window = plan.window;
    settings.overlap = settings.context_noise = std::nullopt;
  } else if (plan.windows.size() > 1) {
    settings.window = plan.window;
    settings.overlap = plan.overlap;
    settings.context_noise = plan.context_noise;
  } else if (!is_task) {
    settings.window = settings.overlap = settings.context_noise = std::nullopt;
  }
  settings.steps = plan.steps;
  settings.guidance_scale = plan.guidance_scale;
  settings.guidance_scale_2 = plan.guidance_scale_2;
  settings.guidance_rescale = plan.guidance_rescale;
  settings.scheduler = plan.scheduler;
  settings.eta = plan.eta;
  settings.flow_shift = plan.flow_shift;
  settings.device = plan.device;
  settings.dtype = plan.dtype;
  settings.weights_dtype = plan.weights_dtype;
  for (const auto& [component, field] : file_settings())
    if (const auto found = plan.weights.find(component); found != plan.weights.end())
      settings.*field = found->second;
  if (!plan.loras.empty()) settings.lora = plan.loras;
  if (!plan.loras_2.empty()) settings.lora_2 = plan.loras_2;
}

GenerationPlan Planner::plan(const GenerationRequest& request) {
  check_ranges(request);
  GenerationPlan plan;
  plan_files(plan, request);
  auto& kept = models_[files_key(plan)];
  if (!kept) kept = std::make_unique<OpenModel>(plan);
  auto& [configs, tokenizer, sizes] = *kept;
  const auto& model = *configs.model;
  const auto& defaults = model.defaults();
  plan.settings = merge_requests(configs.defaults, request);
  check_experts(plan, model);
  note_unused_keys(plan, model);
  const auto device = parse_device(request.device.value_or("auto"));
  const auto dtype = parse_dtype(request.dtype.value_or("auto"), device);
  plan.device = device.str();
  plan.dtype = dtype_name(dtype);
  plan.fps = *plan.settings.fps;
  const auto wanted = wanted_frames(plan, request);
  plan.levels_per_token = defaults.per_frame_timesteps || model.levels_per_token();
  plan.reads_frame_rate = model.reads_frame_rate();
  const bool is_task = has_task(request);
  if (request.loop.value_or(false) && (model.picture_inputs() || model.reads_control()))
    refuse("--loop needs a text-to-video model; this one reads pictures or a video");
  if (const auto inputs = model.picture_inputs()) {
    require_pictures(request, *inputs);
    plan.reads_pictures = true;
  }
  plan_control(plan, model.reads_control());
  check_other_settings(plan);
  const auto storyboard = request.storyboard
                              ? std::optional(read_storyboard(*request.storyboard, plan.fps, request.prompt))
                              : std::nullopt;
  const auto files = sources_of(request, storyboard);
  auto& sources = (*sources_)[plan.fps];
  for (const auto& file : files)
    if (!sources.contains(file)) sources.emplace(file, look_at_source(file, plan.fps, file == request.mask));
  plan_size(plan, request, configs.defaults, size_multiple(model),
            files.empty() ? std::nullopt : std::optional(sources.at(files.front()).size));
  if (!is_task)
    plan_length(plan, wanted.value_or(*configs.defaults.frames), model.vae().frame_step());
  else if (!storyboard)
    plan_conditions(plan, configs, sources, wanted);
  plan_shots(plan, storyboard);
  plan_windows(plan, request, configs);
  if (storyboard) plan_pins(plan, *storyboard, model, sources);
  if (is_task) plan_sources(plan, files, sources);
  plan_references(plan);
  plan_written_frames(plan);
  if (const auto made_for = model.folder().defaults.settings.value("frames", Json());
      plan.windows.size() == 1 && made_for.is_number() && plan.frames > made_for.get<int64_t>())
    plan.notes.push_back(std::to_string(plan.frames) + " frames are more than the " + made_for.dump() +
                         " that the model is made for; the picture may suffer");
  plan_tokens(plan, model);
  plan_sampling(plan, request, configs);
  plan_text(plan, model, *tokenizer);
  check_latents(plan, model.folder());
  plan_outputs(plan, request, writable_);
  plan_sound(plan, sources);
  plan_file_compression(plan);
  if (!sizes) sizes = component_sizes(model);
  plan.weight_bytes = bytes_of_weights(
      *sizes, dtype, parse_vae_dtype(plan.settings.vae_dtype.value_or("auto"), device, dtype));
  record_settings(plan, request);
  plan_memory(plan, model, *sizes, device, dtype);
  return plan;
}

}  // namespace t2v
