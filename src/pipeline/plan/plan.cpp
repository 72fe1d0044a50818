// From what was asked to what will be done.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <random>

#include "base/atomic_file.h"
#include "base/file_status.h"
#include "base/json_text.h"
#include "base/utf8.h"
#include "pipeline/components.h"
#include "pipeline/frames.h"
#include "pipeline/latents_file.h"
#include "pipeline/plan/memory.h"
#include "pipeline/plan/output_template.h"
#include "pipeline/plan/plan_conditions.h"
#include "pipeline/plan/settings.h"
#include "pipeline/plan/sizes.h"
#include "pipeline/plan/storyboard.h"
#include "pipeline/plan/windows.h"
#include "pipeline/provenance.h"
#include "schedulers/scheduler.h"
#include "t2v/generate.h"
#include "text/prompt.h"
#include "text/words.h"
#include "video/write/encoder.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(const std::string& what) { throw Error(ErrorKind::usage, what); }

void check_text(const std::string& text, const char* flag) {
  if (const auto defect = find_text_defect(text))
    refuse(std::string(flag) + ": " + defect->what + " at byte " + std::to_string(defect->byte_offset) +
           "; prompts are UTF-8 without control characters");
}

void check_range(double value, double least, double most, const char* flag) {
  if (value >= least && value <= most) return;
  const auto number = [](double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%.10g", x);
    return std::string(text);
  };
  refuse(std::string(flag) + " should be between " + number(least) + " and " + number(most) + ", found " +
         number(value));
}

std::string size_text(const PixelSize& size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

PixelSize wanted_size(const GenerationRequest& request, const ModelDefaults& defaults, int64_t multiple) {
  if (request.size && (request.width || request.height || request.aspect))
    refuse("--size says it all; leave out --width, --height and --aspect");
  if (request.width && request.height && request.aspect)
    refuse("--width and --height already give the ratio; leave out --aspect");
  for (const auto& side : {request.width, request.height})
    if (side)
      check_range(static_cast<double>(*side), 1, 16384, side == request.width ? "--width" : "--height");
  if (request.size) return parse_size(*request.size, "--size");
  const double aspect = request.aspect
                            ? parse_aspect(*request.aspect)
                            : static_cast<double>(*defaults.width) / static_cast<double>(*defaults.height);
  if (request.width && request.height) return {*request.width, *request.height};
  const auto clamp = [](double side) { return std::clamp<int64_t>(std::llround(side), 1, 16384); };
  if (request.width) return {*request.width, clamp(static_cast<double>(*request.width) / aspect)};
  if (request.height) return {clamp(static_cast<double>(*request.height) * aspect), *request.height};
  if (request.aspect) return size_for_aspect(aspect, *defaults.width * *defaults.height, multiple);
  return {*defaults.width, *defaults.height};
}

// source: the size of what the clip is made from, which gives it its shape where nothing else does.
void plan_size(GenerationPlan& plan, const GenerationRequest& request, const ModelDefaults& defaults,
               int64_t multiple, const std::optional<PixelSize>& source) {
  const bool is_given = request.size || request.aspect || request.width || request.height;
  std::optional<double> aspect;
  if (!is_given && request.outpaint)
    aspect = parse_aspect(*request.outpaint);
  else if (!is_given && source)
    aspect = static_cast<double>(source->width) / static_cast<double>(source->height);
  const auto wanted = aspect ? size_for_aspect(*aspect, *defaults.width * *defaults.height, multiple)
                             : wanted_size(request, defaults, multiple);
  const auto size = floor_to_multiple(wanted, multiple);
  plan.width = size.width;
  plan.height = size.height;
  if (size != wanted)
    plan.notes.push_back("size " + size_text(wanted) + " became " + size_text(size) +
                         ": the model makes multiples of " + std::to_string(multiple));
  if (request.aspect) {
    const double got = static_cast<double>(size.width) / static_cast<double>(size.height);
    const double asked = parse_aspect(*request.aspect);
    if (std::abs(got / asked - 1) > 0.005)
      plan.notes.push_back("aspect " + *request.aspect + " became " + size_text(size) +
                           ", the nearest that the model makes at its trained area");
  }
}

void plan_rate(GenerationPlan& plan, const GenerationRequest& request, const ModelDefaults& defaults) {
  plan.fps = request.fps.value_or(*defaults.fps);
  check_range(plan.fps, 0.1, 1000, "--fps");
}

// Frames that are asked for, where they are.
std::optional<int64_t> wanted_frames(const GenerationPlan& plan, const GenerationRequest& request) {
  if (request.seconds && request.frames) refuse("--seconds and --frames both set the length; leave out one");
  auto wanted = request.frames;
  if (request.seconds) {
    check_range(*request.seconds, 0.001, 86400, "--seconds");
    wanted = std::max<int64_t>(1, std::llround(*request.seconds * plan.fps));
  }
  if (wanted) check_range(static_cast<double>(*wanted), 1, 1'000'000, "--frames");
  return wanted;
}

void plan_length(GenerationPlan& plan, int64_t wanted, int64_t frame_step) {
  plan.frames = round_frames(wanted, frame_step);
  if (plan.frames != wanted)
    plan.notes.push_back(std::to_string(wanted) + " frames became " + std::to_string(plan.frames) +
                         ": the model makes 1 + " + std::to_string(frame_step) + "·k");
}

// The clip's shots, and its length where the storyboard says it.
void plan_shots(GenerationPlan& plan, const GenerationRequest& request,
                const std::optional<Storyboard>& storyboard) {
  if (storyboard)
    plan.shots = storyboard->shots;
  else
    plan.shots = {{.prompt = request.prompt.value_or(""), .begin = 0, .frames = plan.frames}};
  plan.frames = plan.shots.back().begin + plan.shots.back().frames;
}

// With what the conditions have beyond the clip's ends.
void plan_written_frames(GenerationPlan& plan) {
  int64_t begin = 0, end = plan.frames;
  for (const auto& condition : plan.conditions) {
    begin = std::min(begin, condition.at);
    end = std::max(end, condition.at + condition.frames);
  }
  plan.written_frames = end - begin;
}

// Where in the schedule a clip begins that is made from content. Source: diffusers
// pipeline_wan_video2video.py, get_timesteps.
void plan_first_step(GenerationPlan& plan) {
  for (const auto& condition : plan.conditions)
    if (condition.strength > 0)
      plan.first_step = plan.steps -
                        std::max<int64_t>(
                            1, static_cast<int64_t>(static_cast<double>(plan.steps) * condition.strength));
}

// What a network with a control branch reads.
void plan_control(GenerationPlan& plan, const GenerationRequest& request, bool reads_control) {
  for (const auto& [given, flag] : {std::pair{request.control.has_value(), "--control"},
                                    {request.control_scale.has_value(), "--control-scale"}})
    if (given && !reads_control) refuse(std::string(flag) + " needs a VACE model");
  plan.reads_control = reads_control;
  plan.control_scale = request.control_scale.value_or(1);
  check_range(plan.control_scale, 0, 100, "--control-scale");
  if (reads_control && request.storyboard)
    refuse("--storyboard needs a text-to-video model; this one reads one clip with --control or --edit");
  if (reads_control && request.strength && *request.strength != 1)
    refuse("--strength: a VACE model reads what it goes on from, and makes all else anew");
}

// In how many windows the clip is made. A model without a noise level per frame makes it in one pass.
void plan_windows(GenerationPlan& plan, const GenerationRequest& request, const ModelDefaults& defaults,
                  const ModelConfigs& configs) {
  const int64_t ratio = configs.model->vae().frame_step();
  if (!defaults.per_frame_timesteps) {
    for (const auto& [value, flag] : {std::pair{request.window, "--window"},
                                      {request.overlap, "--overlap"},
                                      {request.context_noise, "--context-noise"}})
      if (value)
        refuse(std::string(flag) +
               ": this model makes a clip in one pass; windows need a model with a noise "
               "level per frame (per_frame_timesteps in t2v.json)");
    for (const auto& shot : plan.shots)
      if (shot.begin > 0 && !shot.cut)
        refuse("the shot from frame " + std::to_string(shot.begin) +
               " on: this model makes a shot in one pass and cannot go on from the one before; "
               "say \"cut\": true in the storyboard");
    plan.windows = windows_of(plan.shots, plan.frames + ratio, 1, ratio);
    plan.window = plan.windows.front().frames;
    return;
  }
  const auto check = [&](int64_t value, int64_t least, int64_t most, const char* flag) {
    if (value < least || value > most || round_frames(value, ratio) != value)
      refuse(std::string(flag) + " should be 1 + " + std::to_string(ratio) + "·k, from " +
             std::to_string(least) + " to " + std::to_string(most) + ", found " + std::to_string(value));
  };
  plan.window = request.window.value_or(defaults.window.value_or(*defaults.frames));
  check(plan.window, 1 + ratio, 1'000'001, "--window");
  plan.overlap = request.overlap.value_or(
      std::min(defaults.overlap.value_or(1 + ratio), plan.window - ratio));
  check(plan.overlap, 1, plan.window - ratio, "--overlap");
  plan.context_noise = request.context_noise.value_or(defaults.context_noise.value_or(0));
  training_level(configs.scheduler, plan.context_noise);  // checks the range
  plan.windows = windows_of(plan.shots, plan.window, plan.overlap, ratio);
  if (plan.windows.size() > 1)
    plan.notes.push_back(std::to_string(plan.frames) + " frames are made in " +
                         std::to_string(plan.windows.size()) + " windows of " +
                         std::to_string(plan.windows[0].frames) + " frames, each going on from the last " +
                         std::to_string(plan.overlap) + " of the one before" +
                         (plan.shots.size() > 1 ? ", but where a shot begins with a cut" : ""));
}

// Of both experts, where the model has two.
void plan_guidance(GenerationPlan& plan, const GenerationRequest& request, const ModelDefaults& defaults,
                   bool has_two_experts) {
  plan.guidance_scale = request.guidance_scale.value_or(*defaults.guidance_scale);
  check_range(plan.guidance_scale, 0, 1000, "--guidance-scale");
  if (has_two_experts) {
    plan.guidance_scale_2 = request.guidance_scale_2.value_or(
        defaults.guidance_scale_2.value_or(plan.guidance_scale));
    check_range(*plan.guidance_scale_2, 0, 1000, "--guidance-scale-2");
    if (plan.guidance_scale <= 1 && *plan.guidance_scale_2 > 1)
      plan.notes.push_back("--guidance-scale of 1 or less turns guidance off for both experts");
  } else if (request.guidance_scale_2) {
    refuse("--guidance-scale-2 is for models with two experts; this model has one");
  }
  plan.guidance_rescale = request.guidance_rescale.value_or(defaults.guidance_rescale.value_or(0.0));
  check_range(plan.guidance_rescale, 0, 1, "--guidance-rescale");
}

// The steps, and where the request says them, their timesteps or sigmas.
void plan_levels(GenerationPlan& plan, const GenerationRequest& request, const ModelDefaults& defaults) {
  plan.timesteps = request.timesteps.value_or(std::vector<double>());
  plan.sigmas = request.sigmas.value_or(std::vector<double>());
  const auto given = static_cast<int64_t>(std::max(plan.timesteps.size(), plan.sigmas.size()));
  const std::string flag = plan.timesteps.empty() ? "--sigmas" : "--timesteps";
  if (given > 0 && request.steps && *request.steps != given)
    refuse(flag + " has a value for each of " + std::to_string(given) + " steps, and --steps says " +
           std::to_string(*request.steps) + "; leave out --steps");
  plan.steps = given > 0 ? given : request.steps.value_or(*defaults.steps);
}

void plan_sampling(GenerationPlan& plan, const GenerationRequest& request, const ModelDefaults& defaults,
                   const ModelConfigs& configs) {
  plan_levels(plan, request, defaults);
  plan_guidance(plan, request, defaults, configs.model->boundary_timestep().has_value());
  plan.dynamic_guidance = request.dynamic_guidance.value_or(defaults.dynamic_guidance);
  plan.scheduler = request.scheduler ? *request.scheduler : default_scheduler(configs);
  plan.eta = request.eta.value_or(0.0);
  const auto& scheduler = configs.scheduler;
  if (scheduler.use_flow_sigmas) {
    plan.flow_shift = request.flow_shift;
    if (!plan.flow_shift && !scheduler.use_dynamic_shifting) plan.flow_shift = scheduler.flow_shift;
    if (plan.flow_shift) check_range(*plan.flow_shift, 0.01, 100, "--flow-shift");
  } else if (request.flow_shift) {
    refuse("--flow-shift is for flow-matching models; this model's scheduler has no flow sigmas");
  }
  planned_scheduler(plan, configs);  // checks steps, eta, timesteps, sigmas and prediction type
  if (scheduler.use_flow_sigmas && !plan.timesteps.empty() && plan.flow_shift != 1.0)
    plan.notes.push_back(
        "--timesteps are told to the network as they are, and the noise levels that go with them are "
        "shifted; "
        "--flow-shift 1 keeps the two together, and so does --sigmas");
  plan.branches = plan.guidance_scale > 1 ? 2 : 1;
}

void plan_tokens(GenerationPlan& plan, const Model& model) {
  const auto shape = model.vae().latent_shape(plan.windows.front().frames, plan.width, plan.height);
  plan.latent_shape = {1};
  plan.latent_shape.insert(plan.latent_shape.end(), shape.begin(), shape.end());
  const auto grid = token_grid(shape, model.patch_size());
  plan.tokens = grid.count();
  const int64_t longest = std::max({grid.t, grid.h, grid.w});
  if (longest > model.longest_axis())
    refuse("the clip would be " + std::to_string(longest) +
           " patches long on one axis; the model knows positions up to " +
           std::to_string(model.longest_axis()) + ". Ask for fewer frames or a smaller size.");
}

// One line that names the words of a text that a model of few words has never seen.
void note_unknown_words(GenerationPlan& plan, const std::string& text,
                        const std::vector<std::string>& known) {
  std::string unknown;
  std::vector<std::string> seen;
  for (const auto& word : words_of(text)) {
    const bool is_new = std::find(known.begin(), known.end(), word) == known.end() &&
                        std::find(seen.begin(), seen.end(), word) == seen.end();
    if (is_new) unknown += (unknown.empty() ? "'" : ", '") + word + "'", seen.push_back(word);
  }
  if (unknown.empty()) return;
  std::string all;
  for (const auto& one : known) all += (all.empty() ? "" : " ") + one;
  plan.notes.push_back("the model has never seen " + unknown +
                       " and will make something else; its words are: " + all);
}

void plan_text(GenerationPlan& plan, const GenerationRequest& request, const Model& model,
               const Tokenizer& tokenizer) {
  const auto& defaults = model.defaults();
  if (!request.prompt && !request.storyboard) refuse("a prompt is needed: -p \"what the video shows\"");
  for (const auto& shot : plan.shots) check_text(shot.prompt, "--prompt");
  const auto negative = request.negative_prompt.value_or(defaults.negative_prompt.value_or(""));
  check_text(negative, "--negative-prompt");
  std::vector<std::pair<std::string, std::string>> texts;  // and their names
  for (auto& shot : plan.shots) {
    shot.cleaned_prompt = model.clean(shot.prompt);
    if (!request.prompt) plan.prompt += (plan.prompt.empty() ? "" : ", then ") + shot.prompt;
    texts.emplace_back(shot.cleaned_prompt, "prompt");
  }
  if (request.prompt) plan.prompt = *request.prompt;
  plan.negative_prompt = negative;
  plan.cleaned_negative_prompt = model.clean(plan.negative_prompt);
  plan.max_text_tokens = *defaults.max_text_tokens;
  texts.emplace_back(plan.cleaned_negative_prompt, "negative prompt");
  for (const auto& [text, name] : texts) {
    const auto tokens = tokenizer.encode(text, static_cast<std::size_t>(plan.max_text_tokens));
    if (tokens.tokens_in_prompt > tokens.ids.size())
      plan.notes.push_back("the " + name + " has " + std::to_string(tokens.tokens_in_prompt) +
                           " tokens; the model reads the first " + std::to_string(tokens.ids.size()));
  }
  if (defaults.words.empty()) return;
  for (const auto& shot : plan.shots) note_unknown_words(plan, shot.cleaned_prompt, defaults.words);
}

// 53 bits, which every reader of JSON keeps: many hold numbers as doubles.
int64_t random_seed() {
  std::random_device random;
  const auto high = uint64_t{random()} << 32;
  return static_cast<int64_t>((high | random()) >> 11);
}

// The folder is made when the clip begins, with those above it.
void check_trace_folder(const fs::path& folder) {
  if (is_there(folder, ErrorKind::output) && !is_folder(folder, ErrorKind::output))
    throw Error(ErrorKind::output, folder.string() + ": is a file; --trace takes a folder");
  auto nearest = folder;
  while (!nearest.empty() && !is_there(nearest, ErrorKind::output)) nearest = nearest.parent_path();
  check_writable_folder(nearest);
}

// Whether a clip's file could be written. check_folder: of a file's folder.
void check_output(const GenerationPlan& plan, const PlannedClip& clip,
                  const std::function<void(const std::string&)>& check_folder) {
  check_output_name(encoder_options_of(plan, clip), plan.written_frames);
  if (clip.output != "-") check_folder(clip.output);
  if (plan.sidecar) check_name_length(clip.output + ".json");
  check_name_length(kept_latents_path(clip.output));
}

// writable: folders that need not be probed again.
void plan_outputs(GenerationPlan& plan, const GenerationRequest& request, std::set<std::string>& writable) {
  const int64_t count = request.count.value_or(1);
  check_range(static_cast<double>(count), 1, 100'000, "--count");
  int64_t seed = request.seed ? *request.seed : random_seed();
  if (seed < 0) refuse("--seed should be 0 or more, found " + std::to_string(seed));
  if (seed > std::numeric_limits<int64_t>::max() - count)
    refuse("--seed " + std::to_string(seed) + " is too large to count up from");
  std::optional<std::string> output;
  if (!request.to_receiver) output = request.output.value_or("{prompt}-{seed}.mp4");
  for (const auto& [pattern, flag] :
       {std::pair{output, "--output"}, std::pair{request.save_latents, "--save-latents"},
        std::pair{request.trace, "--trace"}})
    if (count > 1 && pattern && !distinguishes_clips(*pattern))
      refuse(std::string(flag) + " '" + *pattern + "' would be written " + std::to_string(count) +
             " times; add {index} or {seed}");
  if (request.init_latents && count > 1)
    refuse("--init-latents fixes the noise of one clip; leave out --count");
  const auto check_folder = [&](const std::string& file) {
    const auto folder = resolve_link(file).parent_path();
    if (writable.contains(folder.string())) return;
    check_writable_folder(folder);
    writable.insert(folder.string());
  };
  for (int64_t index = 0; index < count; ++index) {
    const OutputFields fields{index, seed + index, plan.prompt};
    const auto expand = [&](const std::optional<std::string>& pattern) {
      return pattern ? std::optional(expand_output(*pattern, fields)) : std::nullopt;
    };
    PlannedClip clip{fields.seed, expand(output).value_or(""), expand(request.save_latents),
                     expand(request.trace)};
    if (output) check_output(plan, clip, check_folder);
    if (clip.save_latents) {
      check_latents_name(*clip.save_latents, "--save-latents");
      check_writable_name(*clip.save_latents);
      check_folder(*clip.save_latents);
    }
    if (clip.trace) check_name_length(fs::path(*clip.trace) / "step_100000.safetensors");
    if (clip.trace) check_trace_folder(*clip.trace);
    plan.clips.push_back(std::move(clip));
  }
}

// Where the model's weights are.
void plan_files(GenerationPlan& plan, const GenerationRequest& request) {
  plan.model_folder = find_model(plan.model, [&](const std::string& line) { plan.notes.push_back(line); });
  for (const auto& [component, file] :
       {std::pair{"transformer", request.transformer}, std::pair{"vae", request.vae},
        std::pair{"text_encoder", request.text_encoder}})
    if (file) plan.weights[component] = *file;
  plan.loras = request.lora.value_or(std::vector<std::string>());
  plan.weights_dtype = parse_weights_dtype(request.weights_dtype.value_or("auto"));
}

// One line a LoRA on what of it belongs to no layer.
void note_unused_keys(GenerationPlan& plan, const Model& model) {
  if (plan.loras.empty()) return;
  const auto names = lora_names(model);
  for (const auto& lora : model.folder().loras) {
    const auto unused = unused_keys(lora, names);
    if (!unused.empty())
      plan.notes.push_back(lora.file.string() + ": " + std::to_string(unused.size()) +
                           " of its tensors belong to no layer of the transformer and are left out, as '" +
                           unused.front() + "'");
  }
}

// Throws Error{out_of_memory} when no way of making the clips stays within the limit.
void plan_memory(GenerationPlan& plan, const Model& model, const ComponentSizes& sizes, at::Device device,
                 at::ScalarType dtype) {
  const std::vector<ClipSize> clips(plan.clips.size(), clip_size(plan));
  const auto shape = shape_run(model, sizes, device, dtype, clips, plan.threads, plan.token_budget,
                               plan.memory_limit);
  plan.memory = estimate_memory(model, sizes, device, dtype, clips, shape);
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

GenerationPlan Planner::plan(const GenerationRequest& request) {
  GenerationPlan plan;
  plan.model = request.model.value_or(kDefaultModel);
  plan_files(plan, request);
  auto& kept = models_[files_key(plan)];
  if (!kept) kept = std::make_unique<OpenModel>(plan);
  auto& [configs, tokenizer, sizes] = *kept;
  const auto& model = *configs.model;
  const auto& folder = model.folder();
  const auto& defaults = model.defaults();
  note_unused_keys(plan, model);
  const auto device = parse_device(request.device.value_or("auto"));
  const auto dtype = parse_dtype(request.dtype.value_or("auto"), device);
  plan.device = device.str();
  plan.dtype = dtype_name(dtype);
  plan_rate(plan, request, defaults);
  const auto wanted = wanted_frames(plan, request);
  plan.levels_per_token = defaults.per_frame_timesteps || model.levels_per_token();
  const bool is_task = has_task(request);
  if (const auto inputs = model.picture_inputs()) {
    require_pictures(request, *inputs);
    plan.reads_pictures = true;
  }
  plan_control(plan, request, model.reads_control());
  const auto storyboard = request.storyboard
                              ? std::optional(read_storyboard(*request.storyboard, plan.fps, request.prompt))
                              : std::nullopt;
  const auto files = sources_of(request, storyboard);
  auto& sources = (*sources_)[plan.fps];
  for (const auto& file : files)
    if (!sources.contains(file)) sources.emplace(file, look_at_source(file, plan.fps));
  plan_size(plan, request, defaults, size_multiple(model),
            files.empty() ? std::nullopt : std::optional(sources.at(files.front()).size));
  if (!is_task)
    plan_length(plan, wanted.value_or(*defaults.frames), model.vae().frame_step());
  else if (!storyboard)
    plan_conditions(plan, request, model, sources, wanted);
  plan_shots(plan, request, storyboard);
  plan_windows(plan, request, defaults, configs);
  if (storyboard) plan_pins(plan, *storyboard, model, sources);
  if (is_task) plan_sources(plan, request, files, sources);
  plan_written_frames(plan);
  if (plan.windows.size() == 1 && folder.defaults.frames && plan.frames > *folder.defaults.frames)
    plan.notes.push_back(std::to_string(plan.frames) + " frames are more than the " +
                         std::to_string(*folder.defaults.frames) +
                         " that the model is made for; the picture may suffer");
  plan_tokens(plan, model);
  plan_sampling(plan, request, defaults, configs);
  plan_first_step(plan);
  plan_text(plan, request, model, *tokenizer);
  plan.resize = request.resize;
  plan.resize_filter = request.resize_filter.value_or("lanczos");
  if (plan.resize_filter != "lanczos" && plan.resize_filter != "nearest")
    refuse("--resize-filter should be lanczos or nearest, found '" + plan.resize_filter + "'");
  plan.codec = request.codec;
  plan.crf = request.crf;
  plan.quality = request.quality;
  plan.bitrate = request.bitrate;
  plan.sidecar = request.sidecar.value_or(false);
  plan.init_latents = request.init_latents;
  if (plan.windows.size() > 1 && (request.save_latents || request.init_latents))
    refuse("--save-latents and --init-latents are of a clip made in one window; this one has " +
           std::to_string(plan.windows.size()));
  if (plan.init_latents) {  // what does not fit is refused before weights load
    read_latents(*plan.init_latents, plan.latent_shape);
    require_autoencoder(*plan.init_latents, read_provenance(*plan.init_latents), folder);
  }
  plan.threads = request.threads;
  if (plan.threads) check_range(static_cast<double>(*plan.threads), 1, 1024, "--threads");
  plan_outputs(plan, request, writable_);
  plan_file_compression(plan);
  if (!sizes) sizes = component_sizes(model);
  const auto element = static_cast<int64_t>(c10::elementSize(dtype));
  plan.weight_bytes = weight_bytes(sizes->text_encoder, sizes->packed_text_encoder, element) +
                      weight_bytes(sizes->transformer, sizes->packed_transformer, element) +
                      sizes->image_encoder * element +
                      sizes->vae * static_cast<int64_t>(sizeof(float));  // the autoencoder stays in float32
  plan.checkpoint_every = request.checkpoint_every;
  if (plan.checkpoint_every)
    check_range(static_cast<double>(*plan.checkpoint_every), 1, 1'000'000, "--checkpoint-every");
  plan.token_budget = request.token_budget;
  if (plan.token_budget) check_range(static_cast<double>(*plan.token_budget), 1, 1e12, "--token-budget");
  if (request.memory_limit) plan.memory_limit = parse_bytes(*request.memory_limit, "--memory-limit");
  plan_memory(plan, model, *sizes, device, dtype);
  return plan;
}

std::string plan_to_json(const GenerationPlan& plan) {
  nlohmann::ordered_json clips = nlohmann::ordered_json::array();
  for (const auto& clip : plan.clips) {
    nlohmann::ordered_json entry = {{"seed", clip.seed}, {"output", clip.output}};
    if (clip.save_latents) entry["save_latents"] = *clip.save_latents;
    if (clip.trace) entry["trace"] = *clip.trace;
    clips.push_back(std::move(entry));
  }
  nlohmann::ordered_json json = {{"model", plan.model},
                                 {"model_folder", plan.model_folder},
                                 {"prompt", plan.prompt},
                                 {"negative_prompt", plan.negative_prompt},
                                 {"cleaned_prompt", plan.shots.front().cleaned_prompt},
                                 {"cleaned_negative_prompt", plan.cleaned_negative_prompt},
                                 {"width", plan.width},
                                 {"height", plan.height},
                                 {"frames", plan.frames},
                                 {"fps", plan.fps},
                                 {"seconds", static_cast<double>(plan.written_frames) / plan.fps},
                                 {"steps", plan.steps},
                                 {"guidance_scale", plan.guidance_scale},
                                 {"guidance_rescale", plan.guidance_rescale},
                                 {"scheduler", plan.scheduler},
                                 {"eta", plan.eta}};
  if (plan.guidance_scale_2) json["guidance_scale_2"] = *plan.guidance_scale_2;
  if (plan.flow_shift) json["flow_shift"] = *plan.flow_shift;
  if (!plan.timesteps.empty()) json["timesteps"] = plan.timesteps;
  if (!plan.sigmas.empty()) json["sigmas"] = plan.sigmas;
  if (plan.dynamic_guidance) json["dynamic_guidance"] = true;
  if (plan.windows.size() > 1) {
    json["window"] = plan.window;
    json["overlap"] = plan.overlap;
    json["context_noise"] = plan.context_noise;
    json["windows"] = plan.windows.size();
  }
  if (plan.task.storyboard) json["shots"] = shots_to_json(plan);
  for (const auto& c : plan.conditions)
    json["conditions"].push_back({{"source", c.source},
                                  {"from", c.from},
                                  {"frames", c.frames},
                                  {"at", c.at},
                                  {"hold", c.hold},
                                  {"linger", c.linger},
                                  {"strength", c.strength}});
  if (!plan.conditions.empty()) {
    json["written_frames"] = plan.written_frames;
    json["fit"] = plan.fit;
    json["first_step"] = plan.first_step;
    if (plan.mask) json["mask"] = *plan.mask;
    if (plan.inside) json["inside"] = *plan.inside;
    json["blend"] = plan.blend;
    json["sources"] = plan.sources;
    if (plan.reads_control) json["control_scale"] = plan.control_scale;
  }
  json["device"] = plan.device;
  json["dtype"] = plan.dtype;
  json["max_text_tokens"] = plan.max_text_tokens;
  json["latent_shape"] = plan.latent_shape;
  json["tokens"] = plan.tokens;
  json["branches"] = plan.branches;
  json["weight_bytes"] = plan.weight_bytes;
  json["memory"] = {{"program", plan.memory.program},
                    {"weights", plan.memory.weights},
                    {"denoising", plan.memory.denoising},
                    {"decoding", plan.memory.decoding},
                    {"peak", plan.memory.peak}};
  if (plan.memory_limit) json["memory_limit"] = *plan.memory_limit;
  if (plan.token_budget) json["token_budget"] = *plan.token_budget;
  if (plan.checkpoint_every) json["checkpoint_every"] = *plan.checkpoint_every;
  if (plan.resize) json["resize"] = *plan.resize, json["resize_filter"] = plan.resize_filter;
  if (plan.codec) json["codec"] = *plan.codec;
  if (plan.crf) json["crf"] = *plan.crf;
  if (plan.quality) json["quality"] = *plan.quality;
  if (plan.bitrate) json["bitrate"] = *plan.bitrate;
  json["sidecar"] = plan.sidecar;
  if (plan.init_latents) json["init_latents"] = *plan.init_latents;
  for (const auto& [component, file] : plan.weights) json[component] = file;
  if (!plan.loras.empty()) json["lora"] = plan.loras;
  if (plan.weights_dtype) json["weights_dtype"] = *plan.weights_dtype;
  json["clips"] = std::move(clips);
  json["notes"] = plan.notes;
  return json_text(json, 2);
}

}  // namespace t2v
