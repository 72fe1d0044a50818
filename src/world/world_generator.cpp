#include "world/world_generator.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include "pipeline/sampling.h"
#include "pipeline/windows.h"
#include "t2v/error.h"
#include "world/world.h"

namespace t2v {

namespace {

TextStates embed(const WorldNetworks& networks, const std::string& text) {
  return networks.text->encode(networks.model->clean(text));
}

std::vector<int64_t> latent_shape(const WorldNetworks& networks, PixelSize size, int64_t length) {
  const auto& vae = networks.vae->spec();
  const auto patch = networks.denoiser->patch_size();
  const int64_t multiple_w = vae.spatial_ratio * patch.w, multiple_h = vae.spatial_ratio * patch.h;
  const auto [width, height] = size;
  if (width < 1 || height < 1 || width % multiple_w != 0 || height % multiple_h != 0)
    throw Error(ErrorKind::usage, "the size " + std::to_string(width) + "x" + std::to_string(height) +
                                      " should be multiples of " + std::to_string(multiple_w) + "x" +
                                      std::to_string(multiple_h) + " for this model");
  if (length < 1 || round_frames(length, vae.temporal_ratio) != length)
    throw Error(ErrorKind::usage, std::to_string(length) + " frames: this model makes 1 + " +
                                      std::to_string(vae.temporal_ratio) + "·k; ask for " +
                                      std::to_string(round_frames(length, vae.temporal_ratio)));
  const auto [channels, frames, rows, columns] = vae.latent_shape(length, width, height);
  return {1, channels, frames, rows, columns};
}

}  // namespace

WorldSampling default_sampling(const ModelConfigs& configs) {
  const auto& defaults = configs.model->folder().defaults;
  WorldSampling sampling;
  sampling.scheduler = default_scheduler(configs);
  sampling.steps = defaults.steps.value_or(sampling.steps);
  sampling.guidance_scale = defaults.guidance_scale.value_or(sampling.guidance_scale);
  sampling.guidance_rescale = defaults.guidance_rescale.value_or(sampling.guidance_rescale);
  sampling.negative_prompt = defaults.negative_prompt.value_or("");
  if (defaults.per_frame_timesteps) {
    sampling.window = defaults.window.value_or(defaults.frames.value_or(0));
    sampling.overlap = defaults.overlap.value_or(5);
    sampling.context_noise = defaults.context_noise.value_or(0);
  }
  return sampling;
}

WorldNetworks LoadedWorldModel::networks() const {
  return {configs.model.get(), text.get(), denoiser.get(), vae.get(), configs.scheduler, device};
}

LoadedWorldModel load_world_model(const std::string& name_or_folder, const std::string& device,
                                  const std::string& dtype, bool only_autoencoder) {
  LoadedWorldModel model;
  const auto folder = open_model_folder(find_model(name_or_folder));
  const auto fps = folder.defaults.fps;
  if (fps && *fps != kWorldFps)
    throw Error(ErrorKind::bad_input,
                (folder.root / "t2v.json").string() + ": fps is " + Json(*fps).dump() +
                    "; clips of the procedural world have 8 frames per second, and only such can be judged");
  model.configs = read_model_configs(folder);
  model.device = parse_device(device);
  model.vae = load_vae(*model.configs.model, {model.device});
  if (only_autoencoder) return model;
  const Placement placement{model.device, parse_dtype(dtype, model.device)};
  model.text = load_text(*model.configs.model, model.configs.model->load_tokenizer(), placement);
  model.denoiser = load_denoiser(*model.configs.model, placement);
  return model;
}

std::vector<at::Tensor> generate_world_clips(const WorldNetworks& networks,
                                             const std::vector<WorldClipRequest>& requests,
                                             const WorldSampling& sampling, Observer& observer) {
  const at::NoGradGuard no_grad;
  const bool guided = sampling.guidance_scale > 1;
  const auto patch = networks.denoiser->patch_size();
  const auto level = training_level(networks.scheduler, sampling.context_noise);

  std::vector<TextStates> texts;
  std::vector<at::Generator> generators;
  std::vector<std::vector<Window>> windows;
  for (const auto& request : requests) {
    latent_shape(networks, request.size, request.frames);  // checks size and length
    generators.push_back(at::detail::createCPUGenerator(request.seed));
    texts.push_back(embed(networks, request.prompt));
    windows.push_back(
        windows_of(request.frames, sampling.window > 0 ? sampling.window : request.frames, sampling.overlap));
  }
  const auto no_text = static_cast<int64_t>(texts.size());  // one text for all unconditional halves
  if (guided) texts.push_back(embed(networks, sampling.negative_prompt));

  std::vector<std::vector<at::Tensor>> videos(requests.size());  // the parts of each
  std::vector<at::Tensor> known(requests.size());
  for (std::size_t w = 0;; ++w) {
    const auto scheduler = make_scheduler(parse_scheduler_kind(sampling.scheduler), networks.scheduler,
                                          sampling.steps, /*eta=*/0);
    std::vector<std::size_t> active;  // requests that have such a window
    std::vector<std::vector<int64_t>> shapes;
    std::vector<Clip> clips;
    std::vector<int64_t> text_of_segment;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (w >= windows[i].size()) continue;
      active.push_back(i);
      shapes.push_back(latent_shape(networks, requests[i].size, windows[i][w].frames));
      const auto noise = at::randn(shapes.back(), generators[i], at::TensorOptions(at::kFloat))[0];
      auto& clip = clips.emplace_back();
      clip.latents = (noise * scheduler->init_noise_sigma()).to(networks.device);  // [C, T, H, W]
      if (w > 0) {
        clip.latents = with_context(clip.latents, known[i], level.alpha, level.sigma);
        clip.known_frames = at::arange(noise.size(1)) < known[i].size(1);
      }
      text_of_segment.push_back(static_cast<int64_t>(i));
    }
    if (active.empty()) break;
    if (guided) text_of_segment.insert(text_of_segment.end(), active.size(), no_text);
    auto tokens = pack(clips, patch, guided ? 2 : 1);
    tokens.texts = std::move(text_of_segment);
    tokens.known_timestep = static_cast<double>(sampling.context_noise);
    SamplingHooks hooks;
    hooks.noise = [&](int64_t) {
      std::vector<at::Tensor> parts;
      for (std::size_t i = 0; i < active.size(); ++i)
        parts.push_back(
            patchify(at::randn(shapes[i], generators[active[i]], at::TensorOptions(at::kFloat))[0], patch));
      return at::cat(parts).to(networks.device);
    };
    const std::vector<Guidance> guidance(active.size(), {sampling.guidance_scale, sampling.guidance_rescale});
    const auto passes = prepare_passes(*networks.denoiser, tokens, texts, guidance);
    const auto values = sample(*networks.denoiser, passes, *scheduler, tokens, guidance, hooks, observer);
    for (std::size_t i = 0; i < active.size(); ++i) {
      const auto latents = unpatchify(values.slice(0, tokens.segments[i], tokens.segments[i + 1]),
                                      token_grid(clips[i].latents.sizes(), patch), patch);
      auto& parts = videos[active[i]];
      known[active[i]] = decode_window(
          *networks.vae, latents, windows[active[i]], w,
          [&](const at::Tensor& frames) { parts.push_back(frames.to(at::kCPU)); });
    }
  }
  std::vector<at::Tensor> clips;
  for (const auto& parts : videos) clips.push_back(at::cat(parts, 1));
  return clips;
}

at::Tensor through_autoencoder(const VideoVae& vae, const at::Tensor& clip) {
  const at::NoGradGuard no_grad;
  return vae.decode(vae.encode(clip).mean).to(at::kCPU);
}

}  // namespace t2v
