#include "pipeline/run/pack_sampler.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <system_error>

#include "pipeline/latents_file.h"
#include "pipeline/plan/windows.h"
#include "weights/safetensors.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

// Matrix products of fewer rows round differently from larger ones (note in nn/ops.cpp): a pack on the CPU is
// filled up to this.
constexpr int64_t least_tokens = 32;

std::string numbered(const char* format, std::size_t number) {
  char name[40];
  std::snprintf(name, sizeof name, format, number);
  return name;
}

void make_folder(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    throw Error(ErrorKind::output, folder.string() + ": cannot be created (" + failed.message() + ")");
}

// Where the steps of a window are traced: of a clip in several windows each has a folder.
fs::path trace_folder(const ClipTask& task, std::size_t window) {
  const fs::path folder = *task.clip->trace;
  return task.plan->windows.size() == 1 ? folder : folder / numbered("window_%04zu", window);
}

// The states of a text's first encoder as diffusers' pipelines have them: float32, zeros beyond its tokens.
// [length, dim]
at::Tensor padded(const TextStates& text) {
  const auto& states = text.states.front();
  return at::constant_pad_nd(states.to(at::kFloat), {0, 0, 0, text.length - states.size(0)});
}

void trace_text(const ClipTask& task, const std::vector<TextStates>& texts) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (std::size_t i = 0; i < task.texts.size(); ++i)
    tensors.emplace_back(i == 0 ? "prompt_embeds" : "prompt_embeds." + std::to_string(i),
                         padded(texts[task.texts[i]]));
  if (task.plan->branches == 2)
    tensors.emplace_back("negative_prompt_embeds", padded(texts[task.negative_text]));
  make_folder(*task.clip->trace);
  save_safetensors(fs::path(*task.clip->trace) / "text.safetensors", tensors);
}

// An integer where all timesteps of the schedule are.
at::Tensor traced_timestep(double timestep, const Scheduler& scheduler) {
  bool whole = true;
  for (const double one : scheduler.timesteps()) whole = whole && one == std::floor(one);
  return at::full({1}, timestep, at::TensorOptions(whole ? at::kLong : at::kFloat));
}

// boundary: below it the second expert's scale holds.
Guidance planned_guidance(const GenerationPlan& plan, double boundary) {
  Guidance guidance{plan.guidance_scale, plan.guidance_rescale,
                    plan.guidance_scale_2.value_or(plan.guidance_scale), boundary};
  if (plan.settings.dynamic_guidance.value_or(false)) guidance.cosine_steps = plan.steps - plan.first_step;
  return guidance;
}

}  // namespace

ClipNoise::ClipNoise(int64_t seed, bool frames_first)
    : generator_(at::detail::createCPUGenerator(static_cast<uint64_t>(seed))), frames_first_(frames_first) {}

at::Tensor ClipNoise::next(std::vector<int64_t> shape) {
  if (frames_first_) std::swap(shape[1], shape[2]);
  const auto drawn = at::randn(shape, generator_, at::TensorOptions(at::kFloat))[0];
  return frames_first_ ? drawn.transpose(0, 1).contiguous() : drawn;
}

PackSampler::PackSampler(const Denoiser& denoiser, const ModelConfigs& configs, at::Device device,
                         const std::vector<TextStates>& texts, const CheckpointOptions& checkpoints,
                         const Pack& pack, bool branches_in_turn)
    : denoiser_(denoiser),
      device_(device),
      texts_(texts),
      checkpoints_(checkpoints),
      pack_(pack),
      patch_(denoiser.patch_size()),
      configs_(configs),
      branches_in_turn_(branches_in_turn) {
  for (const auto* task : pack) {
    const auto& plan = *task->plan;
    if (task->clip->trace) trace_text(*task, texts_);
    noises_.emplace_back(task->clip->seed, configs.model->draws_frames_first());
    if (task->checkpoint) noises_.back().restore(task->checkpoint->generator);
    guidance_.push_back(plan.branches == 2
                            ? planned_guidance(plan, configs.model->boundary_timestep().value_or(0))
                            : Guidance{});
  }
}

void PackSampler::lay_out(std::size_t window) {
  std::vector<int64_t> begins = {0};
  std::vector<TokenGrid> grids;
  int64_t tokens = 0;  // of all branches
  for (const auto* task : pack_) {
    grids.push_back(token_grid(at::IntArrayRef(window_latent_shape(*task->plan, window)).slice(1), patch_));
    begins.push_back(begins.back() + grids.back().count());
    tokens += grids.back().count() * task->plan->branches;
  }
  if (begins == begins_) return;
  begins_ = std::move(begins);
  grids_ = std::move(grids);
  padding_ = device_.is_cpu() ? std::max<int64_t>(0, least_tokens - tokens) : 0;
  guidance_.resize(pack_.size());
  if (padding_ > 0) guidance_.emplace_back();
  passes_.clear();
}

PackedTokens PackSampler::tokens_of(const std::vector<Clip>& clips, std::size_t shot) const {
  auto branches = clips;
  for (std::size_t i = 0; i < clips.size(); ++i)
    if (guidance_[i].scale > 1) branches.push_back(clips[i]);
  auto tokens = t2v::pack(branches, patch_, 1, pack_.front()->plan->levels_per_token);
  tokens.condition_scale = pack_.front()->plan->settings.control_scale.value_or(1);
  tokens.known_timestep = static_cast<double>(pack_.front()->plan->context_noise);
  tokens.frame_rate = pack_.front()->plan->fps;
  tokens.texts.clear();
  const auto add = [&](std::size_t text) { tokens.texts.push_back(static_cast<int64_t>(text)); };
  for (const auto* task : pack_) add(task->texts.at(shot));
  if (padding_ > 0) add(pack_.front()->texts.at(shot));
  for (const auto* task : pack_)
    if (task->plan->branches == 2) add(task->negative_text);
  return tokens;
}

PackSampler::Beginning PackSampler::begin(std::size_t window, const std::vector<KnownLatents>& known,
                                          const Scheduler& scheduler) {
  Beginning beginning;
  beginning.first_step = pack_.front()->plan->first_step;
  bool any_known = false;
  for (std::size_t i = 0; i < pack_.size(); ++i) {
    const auto& task = *pack_[i];
    const auto& plan = *task.plan;
    Clip clip;
    at::Tensor noise;
    const bool goes_on = task.checkpoint && task.checkpoint->window == static_cast<int64_t>(window);
    if (goes_on) {
      beginning.first_step = task.checkpoint->step;
      clip.latents = unpatchify(task.checkpoint->values, grids_[i], patch_).to(device_);
      auto history = task.checkpoint->history;
      for (auto& prediction : history.predictions) prediction = prediction.to(device_);
      if (history.last_sample) history.last_sample = history.last_sample->to(device_);
      beginning.histories.push_back(std::move(history));
    } else {
      const auto drawn = plan.settings.init_latents
                             ? read_latents(*plan.settings.init_latents, plan.latent_shape)
                             : noises_[i].next(window_latent_shape(plan, window));
      noise = drawn.to(device_);
      clip.latents = noise * scheduler.init_noise_sigma();
    }
    clip.condition = known[i].condition;
    if (task.image.defined()) clip.image = task.image.to(device_);
    if (known[i].latents.defined()) {
      if (!goes_on) put_known(clip, noise, known[i], scheduler, beginning.first_step);
      if (known[i].cells.any().item<bool>()) clip.known = known[i].cells;
      any_known = true;
    }
    beginning.clips.push_back(std::move(clip));
  }
  if (any_known) beginning.known = content_of(beginning.clips, known, window);
  return beginning;
}

void PackSampler::put_known(Clip& clip, const at::Tensor& noise, const KnownLatents& known,
                            const Scheduler& scheduler, int64_t first_step) const {
  const auto& plan = *pack_.front()->plan;
  const auto count = known.latents.size(1);
  auto begun = clip.latents;
  if (first_step > 0) begun = scheduler.add_noise(known.latents, noise, first_step);
  const auto level = training_level(configs_.scheduler, plan.context_noise);
  const auto held = known.latents * level.alpha + noise.slice(1, 0, count) * level.sigma;
  const auto cells = known.cells.narrow(0, 0, count).unsqueeze(0).to(device_);  // [1, T', h, w]
  clip.latents = at::cat({at::where(cells, held, begun.slice(1, 0, count)), begun.slice(1, count)}, 1);
}

// Noise of its own: what is known is the same however often a run was begun again.
KnownContent PackSampler::content_of(const std::vector<Clip>& clips, const std::vector<KnownLatents>& known,
                                     std::size_t window) const {
  std::vector<at::Tensor> clean, noise;
  for (std::size_t i = 0; i < clips.size(); ++i) {
    const auto shape = clips[i].latents.sizes();
    const auto seed = static_cast<uint64_t>(pack_[i]->clip->seed) ^ (0x9E3779B97F4A7C15U * (window + 1));
    auto generator = at::detail::createCPUGenerator(seed);
    noise.push_back(patchify(at::randn(shape, generator, at::TensorOptions(at::kFloat)).to(device_), patch_));
    auto whole = at::zeros(shape, clips[i].latents.options());
    if (known[i].latents.defined()) whole.slice(1, 0, known[i].latents.size(1)).copy_(known[i].latents);
    clean.push_back(patchify(whole, patch_));
  }
  if (padding_ > 0)
    for (auto* parts : {&clean, &noise})
      parts->push_back(at::zeros({padding_, clean.front().size(1)}, clean.front().options()));
  return {at::cat(clean), at::cat(noise)};
}

void PackSampler::add_padding(Beginning& beginning) const {
  const auto& first = beginning.clips.front();
  const auto nothing_of = [&](const at::Tensor& x) {
    return x.defined() ? at::zeros({x.size(0), patch_.t, patch_.h, patch_.w * padding_}) : at::Tensor();
  };
  beginning.clips.push_back({nothing_of(first.latents), {}, nothing_of(first.condition), first.image});
  if (beginning.histories.empty()) return;
  auto nothing = beginning.histories.front();
  for (auto& prediction : nothing.predictions) prediction = at::zeros({padding_, prediction.size(1)});
  if (nothing.last_sample) nothing.last_sample = at::zeros({padding_, nothing.last_sample->size(1)});
  beginning.histories.push_back(std::move(nothing));
}

SamplingHooks PackSampler::hooks(std::size_t window, const Scheduler& scheduler) {
  SamplingHooks hooks;
  hooks.noise = [this, window](int64_t) {
    std::vector<at::Tensor> parts;
    for (std::size_t i = 0; i < pack_.size(); ++i)
      parts.push_back(patchify(noises_[i].next(window_latent_shape(*pack_[i]->plan, window)), patch_));
    if (padding_ > 0) parts.push_back(at::zeros({padding_, parts[0].size(1)}));
    const auto noise = at::cat(parts);
    // Out of pinned memory, so that the card need not be waited for.
    return device_.is_cpu() ? noise : noise.pin_memory().to(device_, /*non_blocking=*/true);
  };
  const int64_t steps = pack_.front()->plan->steps;
  const auto is_checkpoint = [this, steps](int64_t step) {
    return checkpoints_.every && ((step + 1) % *checkpoints_.every == 0 || step + 1 == steps);
  };
  const bool is_traced = std::any_of(pack_.begin(), pack_.end(),
                                     [](const auto* task) { return task->clip->trace.has_value(); });
  hooks.keeps = [is_checkpoint, is_traced](int64_t step) { return is_traced || is_checkpoint(step); };
  hooks.after_step = [this, window, is_checkpoint, &scheduler](int64_t step, double timestep,
                                                               const at::Tensor& values) {
    const bool keeps = is_checkpoint(step);
    for (std::size_t i = 0; i < pack_.size(); ++i) {
      const auto& clip = *pack_[i]->clip;
      if (clip.trace) {
        const auto file = numbered("step_%04zu.safetensors", static_cast<std::size_t>(step));
        const auto latents = unpatchify(rows_of(i, values), grids_[i], patch_).unsqueeze(0);
        make_folder(trace_folder(*pack_[i], window));
        save_safetensors(trace_folder(*pack_[i], window) / file,
                         {{"latents", latents}, {"timestep", traced_timestep(timestep, scheduler)}});
      }
      if (keeps)
        save_checkpoint(checkpoints_.path(clip),
                        {static_cast<int64_t>(window), step + 1, rows_of(i, values),
                         history_rows(scheduler.history(), begins_[i], begins_[i + 1]), noises_[i].state()},
                        *pack_[i]->plan, clip, checkpoints_.model_hash);
    }
  };
  return hooks;
}

std::vector<at::Tensor> PackSampler::sample_window(std::size_t window, const std::vector<KnownLatents>& known,
                                                   Observer& observer) {
  lay_out(window);
  const auto scheduler = planned_scheduler(*pack_.front()->plan, configs_);
  auto beginning = begin(window, known, *scheduler);
  if (padding_ > 0) add_padding(beginning);
  if (!beginning.histories.empty()) scheduler->set_history(join_histories(beginning.histories));
  const auto shot = pack_.front()->plan->windows.at(window).shot;
  const auto tokens = tokens_of(beginning.clips, shot);
  if (passes_.empty() || shot != passes_shot_)
    passes_ = prepare_passes(denoiser_, tokens, texts_, guidance_, branches_in_turn_);
  passes_shot_ = shot;
  const auto values = sample(denoiser_, passes_, *scheduler, tokens, guidance_, hooks(window, *scheduler),
                             observer, beginning.first_step, beginning.known);
  std::vector<at::Tensor> latents;
  for (std::size_t i = 0; i < pack_.size(); ++i) {
    // Before the clip there is a frame for each reference.
    const auto references = static_cast<int64_t>(pack_[i]->plan->references.size());
    latents.push_back(unpatchify(rows_of(i, values), grids_[i], patch_).slice(1, references).contiguous());
  }
  return latents;
}

}  // namespace t2v
