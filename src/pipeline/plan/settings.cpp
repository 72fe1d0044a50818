#include "pipeline/plan/settings.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

#include "base/utf8.h"
#include "schedulers/scheduler_classes.h"

namespace t2v {

namespace {

using R = GenerationRequest;

bool is_set(const R& request, const Setting& setting) {
  return std::visit([&](auto field) { return (request.*field).has_value(); }, setting.field);
}

void copy_setting(R& to, const R& from, const Setting& setting) {
  std::visit([&](auto field) { to.*field = from.*field; }, setting.field);
}

std::string as_text(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.10g", number);
  return text;
}

// Whether a number that is set is within its range; `refuse` hears what is wrong with it.
void check_range(const R& request, const Setting& setting,
                 const std::function<void(const std::string&)>& refuse) {
  const auto check = [&](const auto& value) {
    const auto number = static_cast<double>(value);
    if (number >= setting.least && number <= setting.most) return;
    const auto found = Json(value).dump();
    refuse(std::isinf(setting.most) ? "should be " + as_text(setting.least) + " or more, found " + found
                                    : "should be between " + as_text(setting.least) + " and " +
                                          as_text(setting.most) + ", found " + found);
  };
  if (const auto* whole = std::get_if<std::optional<int64_t> R::*>(&setting.field))
    if (const auto& value = request.**whole) check(*value);
  if (const auto* real = std::get_if<std::optional<double> R::*>(&setting.field))
    if (const auto& value = request.**real) check(*value);
}

}  // namespace

bool is_list(const SettingField& field) {
  return std::holds_alternative<std::optional<std::vector<std::string>> R::*>(field) ||
         std::holds_alternative<std::optional<std::vector<double>> R::*>(field);
}

const std::vector<Setting>& generation_settings() {
  static const std::string schedulers = "How noise is taken away: " + scheduler_list();
  static const std::vector<Setting> settings = {
      {"prompt", "-p,--prompt", "What to make", "What the video shows", &R::prompt, Record::clip},
      {"negative_prompt", "-n,--negative-prompt", "What to make",
       "What it should not show (used with guidance)", &R::negative_prompt, Record::clip, true},
      {"size", "--size", "What to make", "Size in pixels, WxH", &R::size, Record::nowhere},
      {"width", "-W,--width", "What to make", "Width in pixels", &R::width, Record::clip, true, 1, 16384},
      {"height", "-H,--height", "What to make", "Height in pixels", &R::height, Record::clip, true, 1, 16384},
      {"aspect", "--aspect", "What to make", "Aspect ratio, W:H, at the model's trained area", &R::aspect,
       Record::nowhere},
      {"seconds", "--seconds", "What to make", "Length in seconds", &R::seconds, Record::clip, false, 0.001,
       86400},
      {"frames", "--frames", "What to make", "Length in frames", &R::frames, Record::clip, true, 1,
       1'000'000},
      {"loop", "--loop", "What to make",
       "The clip leads back to its first frame; its length is 4·k frames, 8 or more", &R::loop, Record::clip},
      {"window", "--window", "What to make",
       "Frames of each part of a long clip; each part goes on from the end of the one before (t2v.json)",
       &R::window, Record::clip, true},
      {"overlap", "--overlap", "What to make", "Frames that a part shares with the one before (t2v.json)",
       &R::overlap, Record::clip, true},
      {"context_noise", "--context-noise", "What to make",
       "Timestep that the shared frames are noised to; 0 keeps them clean (t2v.json)", &R::context_noise,
       Record::clip, true, 0, 1'000'000},
      {"fps", "--fps", "What to make", "Frames per second, also as 24000/1001", &R::fps, Record::clip, true,
       0.1, 1000},
      {"storyboard", "--storyboard", "From pictures and videos",
       "JSON file: shots with prompts over time, pictures and clips at times", &R::storyboard, Record::clip},
      {"image", "--image", "From pictures and videos", "Picture that the clip begins with", &R::image,
       Record::clip},
      {"last_image", "--last-image", "From pictures and videos", "Picture that it ends with", &R::last_image,
       Record::clip},
      {"extend", "--extend", "From pictures and videos",
       "Video to go on from; --seconds or --frames is what comes on", &R::extend, Record::clip},
      {"backward", "--backward", "From pictures and videos", "With --extend: what comes before it",
       &R::backward, Record::clip},
      {"connect", "--connect", "From pictures and videos",
       "Video; given twice, makes the transition of --seconds or --frames from the one to the other",
       &R::connect, Record::clip},
      {"fill", "--fill", "From pictures and videos", "Video of which a part is made anew: --missing",
       &R::fill, Record::clip},
      {"missing", "--missing", "From pictures and videos", "Its part, seconds: 1.0-2.5", &R::missing,
       Record::clip},
      {"edit", "--edit", "From pictures and videos", "Video or picture to make anew: --strength, --mask",
       &R::edit, Record::clip},
      {"mask", "--mask", "From pictures and videos",
       "With --edit: picture or video; white is made anew, black is kept", &R::mask, Record::clip},
      {"outpaint", "--outpaint", "From pictures and videos",
       "With --edit: the shape W:H that the video becomes the middle of; all around is made", &R::outpaint,
       Record::clip},
      {"blend", "--blend", "From pictures and videos",
       "Frames at each seam that go over from the video to what is made (0)", &R::blend, Record::clip},
      {"control", "--control", "From pictures and videos",
       "Video that says how things move (VACE models): depth, poses, lines", &R::control, Record::clip},
      {"reference", "--reference", "From pictures and videos",
       "Picture of what the clip shows (VACE models); may be given several times", &R::reference,
       Record::clip},
      {"control_scale", "--control-scale", "From pictures and videos",
       "VACE models: how much the given frames count (1)", &R::control_scale, Record::clip, false, 0, 100},
      {"strength", "--strength", "From pictures and videos",
       "With --edit: how much is new, 0 to 1 (0.6; with --mask or --outpaint 1)", &R::strength, Record::clip},
      {"fit", "--fit", "From pictures and videos", "What is of another shape: crop, pad or stretch (crop)",
       &R::fit, Record::clip},
      {"count", "--count", "What to make", "How many clips; each next one has the next seed", &R::count,
       Record::nowhere, false, 1, 100'000},
      {"seed", "-s,--seed", "What to make", "Seed of the initial noise (random when absent; always printed)",
       &R::seed, Record::nowhere},
      {"model", "-m,--model", "Model and sampling", "Model folder, or the name of a shipped model", &R::model,
       Record::clip},
      {"transformer", "--transformer", "Model and sampling",
       "Safetensors or GGUF file in place of the model's transformer, under diffusers' or original names",
       &R::transformer, Record::clip},
      {"transformer_2", "--transformer-2", "Model and sampling",
       "The same, of the second expert (low noise) of models that have two", &R::transformer_2, Record::clip},
      {"vae", "--vae", "Model and sampling", "The same, of its autoencoder", &R::vae, Record::clip},
      {"text_encoder", "--text-encoder", "Model and sampling", "The same, of its text encoder",
       &R::text_encoder, Record::clip},
      {"image_encoder", "--image-encoder", "Model and sampling", "The same, of its image encoder",
       &R::image_encoder, Record::clip},
      {"tokenizer", "--tokenizer", "Model and sampling",
       "spiece.model, or a folder with it, where the text encoder's file has none", &R::tokenizer,
       Record::clip},
      {"lora", "--lora", "Model and sampling", "LoRA, FILE or FILE:SCALE; may be given several times",
       &R::lora, Record::clip},
      {"lora_2", "--lora-2", "Model and sampling", "The same, of the second expert", &R::lora_2,
       Record::clip},
      {"steps", "--steps", "Model and sampling", "Denoising steps", &R::steps, Record::clip, true, 1,
       1'000'000},
      {"timesteps", "--timesteps", "Model and sampling",
       "Timestep of each step in place of the scheduler's own: 999,749,499,249", &R::timesteps, Record::clip},
      {"sigmas", "--sigmas", "Model and sampling",
       "Flow-matching models: noise level of each step, before --flow-shift: 1,0.75,0.5,0.25", &R::sigmas,
       Record::clip},
      {"guidance_scale", "--guidance-scale,--cfg-scale", "Model and sampling",
       "Classifier-free guidance; 1 turns it off", &R::guidance_scale, Record::clip, true, 0, 1000},
      {"guidance_scale_2", "--guidance-scale-2", "Model and sampling",
       "The same, of the second expert of models that have two", &R::guidance_scale_2, Record::clip, true, 0,
       1000},
      {"guidance_rescale", "--guidance-rescale", "Model and sampling",
       "How far guidance is scaled back to the contrast of the unguided prediction, 0 to 1",
       &R::guidance_rescale, Record::clip, true, 0, 1},
      {"dynamic_guidance", "--dynamic-guidance", "Model and sampling",
       "The guidance scale changes with the timestep, along a cosine (t2v.json)", &R::dynamic_guidance,
       Record::clip, true},
      {"scheduler", "--scheduler", "Model and sampling", schedulers.c_str(), &R::scheduler, Record::clip,
       true},
      {"sigma_schedule", "--sigma-schedule", "Model and sampling",
       "Noise levels spaced by karras, exponential or beta (euler, unipc, dpm++, flow-euler)",
       &R::sigma_schedule, Record::clip},
      {"eta", "--eta", "Model and sampling", "DDIM: share of fresh noise at each step, 0 to 1", &R::eta,
       Record::clip},
      {"flow_shift", "--flow-shift", "Model and sampling",
       "Shift of the noise levels of flow-matching models", &R::flow_shift, Record::clip, false, 0.01, 100},
      {"output", "-o,--output", "Output",
       "File: .mp4 .mov .mkv .webm .avi .gif .webp .y4m, %05d.png for a sequence, - for y4m on stdout; may "
       "hold {index} {seed} {prompt} {date} (default {prompt}-{seed}.mp4)",
       &R::output, Record::nowhere},
      {"resize", "--resize", "Output", "Resample the finished frames to WxH", &R::resize, Record::clip},
      {"resize_filter", "--resize-filter", "Output", "lanczos or nearest", &R::resize_filter, Record::clip},
      {"codec", "--codec", "Output",
       "h264, hevc, prores, ffv1, av1, vp9, or png16: what the file's name takes (when absent: its usual "
       "one)",
       &R::codec, Record::clip},
      {"crf", "--crf", "Output", "Constant quality as the codec counts it, 0 is the best (h264: 18)", &R::crf,
       Record::clip},
      {"quality", "--quality", "Output", "The same for every codec: 0 to 100, the best", &R::quality,
       Record::clip},
      {"bitrate", "--bitrate", "Output", "In place of a quality: bits per second, 4M or 800k", &R::bitrate,
       Record::clip},
      {"sidecar", "--sidecar", "Output", "Write OUTPUT.json with all that is needed to make the clip again",
       &R::sidecar, Record::plan},
      {"init_latents", "--init-latents", "Latents",
       "Start from the noise in this safetensors file (tensor 'latents' [1, C, T, H, W])", &R::init_latents,
       Record::clip},
      {"save_latents", "--save-latents", "Latents", "Save the final latents to this safetensors file",
       &R::save_latents, Record::nowhere},
      {"trace", "--trace", "Latents", "Save the text embedding and the latents of every step to this folder",
       &R::trace, Record::nowhere},
      {"device", "--device", "Machine", "auto, cpu or cuda[:N]", &R::device, Record::clip},
      {"dtype", "--dtype", "Machine", "auto, float32, bfloat16 or float16", &R::dtype, Record::clip},
      {"weights_dtype", "--weights-dtype", "Machine",
       "What weights are kept in: auto, float32, bfloat16, float16, float8, q8_0, q4_0 (auto: as stored)",
       &R::weights_dtype, Record::clip},
      {"vae_dtype", "--vae-dtype", "Machine",
       "What the autoencoder computes in: float32 (auto), bfloat16 (auto on a card, beside --dtype bfloat16) "
       "or float16",
       &R::vae_dtype, Record::clip},
      {"vae_tiling", "--vae-tiling", "Machine",
       "Decode and encode in tiles, blended where they overlap: on, off or auto (on where the memory would "
       "not hold the whole)",
       &R::vae_tiling, Record::clip},
      {"offload", "--offload", "Machine",
       "Weights between their uses: none (kept), stage (the transformer's go before decoding), block (read "
       "block by block, for models larger than the memory) or auto (none where it fits)",
       &R::offload, Record::nowhere},
      {"threads", "--threads", "Machine",
       "CPU threads (when absent: all cores, and one to denoise with a small network)", &R::threads,
       Record::plan, false, 1, 1024},
      {"memory_limit", "--memory-limit", "Machine",
       "Hold the run to this much memory (2GB, 800MB), or say what would fit", &R::memory_limit,
       Record::nowhere},
      {"token_budget", "--token-budget", "Machine",
       "Denoise clips together up to so many tokens (when absent: as many as are quickest)", &R::token_budget,
       Record::plan, false, 1, 1e12},
      {"checkpoint_every", "--checkpoint-every", "Machine",
       "Save the state of denoising every so many steps; the same command goes on from there",
       &R::checkpoint_every, Record::plan, false, 1, 1'000'000},
  };
  return settings;
}

R request_from_json(const Json& object, const std::string& where) {
  if (!object.is_object()) throw Error(ErrorKind::usage, where + ": should be a JSON object of settings");
  R request;
  for (const auto& [key, value] : object.items()) {
    const Setting* found = nullptr;
    std::vector<std::string> keys;
    for (const auto& setting : generation_settings()) {
      keys.emplace_back(setting.key);
      if (key == setting.key) found = &setting;
    }
    if (found == nullptr) {
      const auto near = nearest_name(key, keys);
      throw Error(ErrorKind::usage,
                  where + ": unknown key '" + key + "'" + (near ? "; did you mean '" + *near + "'?" : ""));
    }
    if (!value.is_null()) set_from_json(request, *found, value, where);
  }
  return request;
}

const Setting& setting_of(const std::string& key) {
  for (const auto& setting : generation_settings())
    if (key == setting.key) return setting;
  throw Error(ErrorKind::internal, "there is no setting '" + key + "'");
}

Json request_to_json(const R& request) {
  Json object = Json::object();
  for (const auto& setting : generation_settings())
    std::visit(
        [&](auto field) {
          if (request.*field) object[setting.key] = *(request.*field);
        },
        setting.field);
  return object;
}

GenerationRequest default_settings(const ModelDefaults& defaults, const std::string& where) {
  auto keys = model_keys();
  R settings;
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::bad_input, where + ": " + what);
  };
  for (const auto& setting : generation_settings())
    if (setting.in_model) keys.emplace_back(setting.key);
  for (const auto& entry : defaults.settings.items()) {
    const auto& key = entry.key();  // clang 14 takes no structured binding into a lambda
    const auto& value = entry.value();
    const auto& all = generation_settings();
    const auto found = std::find_if(all.begin(), all.end(), [&](const Setting& setting) {
      return setting.in_model && key == setting.key;
    });
    if (found == all.end()) {
      const auto near = nearest_name(key, keys);
      refuse("unknown key '" + key + "'" + (near ? "; did you mean '" + *near + "'?" : ""));
    }
    if (value.is_null()) continue;
    try {
      set_from_json(settings, *found, value, where);
    } catch (const Error& error) {
      throw Error(ErrorKind::bad_input, error.what());
    }
    check_range(settings, *found, [&](const std::string& what) { refuse("'" + key + "' " + what); });
  }
  return settings;
}

void check_ranges(const R& request) {
  for (const auto& setting : generation_settings())
    check_range(request, setting, [&](const std::string& what) {
      const std::string flags = setting.flags;
      const auto begin = flags.find("--");
      throw Error(ErrorKind::usage, flags.substr(begin, flags.find(',', begin) - begin) + " " + what);
    });
}

Json recorded_settings(const R& settings, Record least) {
  auto recorded = request_to_json(settings);
  for (const auto& setting : generation_settings())
    if (setting.record < least) recorded.erase(setting.key);
  return recorded;
}

R merge_requests(const R& base, const R& over) {
  R merged = base;
  if (over.size) merged.width = merged.height = std::nullopt, merged.aspect = std::nullopt;
  if (over.aspect) merged.size = std::nullopt, merged.width = merged.height = std::nullopt;
  if (over.width || over.height) merged.size = merged.aspect = std::nullopt;
  if (over.frames) merged.seconds = std::nullopt;
  if (over.seconds) merged.frames = std::nullopt;
  if (over.timesteps || over.sigmas) merged.steps = std::nullopt;
  if (over.timesteps || over.sigmas || over.steps) merged.timesteps = merged.sigmas = std::nullopt;
  if (over.crf || over.quality || over.bitrate) merged.crf = merged.quality = {}, merged.bitrate = {};
  for (const auto& setting : generation_settings())
    if (is_set(over, setting)) copy_setting(merged, over, setting);
  return merged;
}

}  // namespace t2v
