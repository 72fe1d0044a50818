#include "pipeline/denoising.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <map>
#include <system_error>
#include <thread>

#include "pipeline/failures.h"
#include "pipeline/latents_file.h"
#include "pipeline/memory.h"
#include "pipeline/packing.h"
#include "pipeline/sampling.h"
#include "pipeline/stopwatch.h"
#include "weights/safetensors.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

// One generator per clip, on the CPU whatever the device, drawn in the order and shape of the reference
// pipeline ([1, C, T, H, W]).
class ClipNoise {
 public:
  ClipNoise(int64_t seed, std::vector<int64_t> shape)
      : generator_(at::detail::createCPUGenerator(static_cast<uint64_t>(seed))), shape_(std::move(shape)) {}
  at::Tensor next() {
    return at::randn(shape_, generator_, at::TensorOptions(at::kFloat))[0];
  }  // [C, T, H, W]
  at::Tensor state() const { return generator_.get_state(); }
  void restore(const at::Tensor& state) { generator_.set_state(state); }

 private:
  at::Generator generator_;
  std::vector<int64_t> shape_;
};

// Matrix products of fewer rows round differently from larger ones (note in nn/ops.cpp): a pack on the CPU is
// filled up to this.
constexpr int64_t least_tokens = 32;

std::string step_file(int64_t step) {
  char name[40];
  std::snprintf(name, sizeof name, "step_%04lld.safetensors", static_cast<long long>(step));
  return name;
}

void trace_text(const fs::path& folder, const ClipTask& task, const std::vector<at::Tensor>& texts) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    throw Error(ErrorKind::output, folder.string() + ": cannot be created (" + failed.message() + ")");
  std::vector<std::pair<std::string, at::Tensor>> tensors = {{"prompt_embeds", texts[task.text]}};
  if (task.plan->branches == 2) tensors.emplace_back("negative_prompt_embeds", texts[task.negative_text]);
  save_safetensors(folder / "text.safetensors", tensors);
}

// Sets libtorch's thread count for the calling thread.
void use_threads(int count) {
  if (at::get_num_threads() != count) at::set_num_threads(count);
}

// Progress of one pack as steps of the whole run.
class PackObserver : public Observer {
 public:
  PackObserver(Reporter& reporter, int64_t clips) : reporter_(reporter), clips_(clips) {}
  void progress(const Progress&) override {
    counted_ += clips_;
    reporter_.count_steps(clips_);
  }
  void check_cancelled() override { reporter_.check_cancelled(); }
  void take_back() {
    reporter_.count_steps(-counted_);
    counted_ = 0;
  }

 private:
  Reporter& reporter_;
  const int64_t clips_;
  int64_t counted_ = 0;
};

std::string schedule_of(const ClipTask& task) {
  const auto& plan = *task.plan;
  return plan.scheduler + " " + std::to_string(plan.steps) + " " + std::to_string(plan.eta) + " " +
         std::to_string(plan.flow_shift.value_or(0)) + " from " + std::to_string(task.first_step());
}

}  // namespace

Denoising::Denoising(const WanTransformer& transformer, const ModelConfigs& configs, at::Device device,
                     const std::vector<at::Tensor>& texts, DenoisingOptions options,
                     std::shared_mutex& memory, Reporter& reporter, LatentsReceiver receiver)
    : transformer_(transformer),
      configs_(configs),
      device_(device),
      texts_(texts),
      options_(std::move(options)),
      memory_(memory),
      reporter_(reporter),
      receiver_(std::move(receiver)),
      patch_(configs.transformer.patch_size) {}

bool Denoising::is_quicker_on_one_thread(const ClipTask& task) const {
  return device_.is_cpu() && !task.plan->threads && is_small_step(configs_.transformer, task.tokens());
}

void Denoising::run(std::vector<ClipTask>& tasks) {
  std::vector<PackItem> items;
  // On the CPU a large clip gains nothing from company, and is denoised by all threads; small ones share a
  // pass, one thread a pack.
  for (const auto& task : tasks)
    items.push_back({task.tokens(), schedule_of(task),
                     device_.is_cpu() && !is_small_step(configs_.transformer, task.tokens())});
  std::vector<Pack> packs;
  for (const auto& indices : make_packs(items, options_.token_budget, options_.workers)) {
    auto& pack = packs.emplace_back();
    for (const auto index : indices) pack.push_back(&tasks[index]);
  }
  std::vector<std::thread> others;
  const auto count = std::min(options_.workers, packs.size());
  try {
    for (std::size_t i = 1; i < count; ++i) others.emplace_back([&] { work(packs); });
  } catch (const std::system_error&) {  // no more threads to be had: it goes on with those there are
  }
  work(packs);
  for (auto& thread : others) thread.join();
}

void Denoising::work(const std::vector<Pack>& packs) {
  const at::NoGradGuard no_grad;
  try {
    while (!reporter_.stopped()) {
      const auto index = next_pack_++;
      if (index >= packs.size()) return;
      denoise(packs[index]);
    }
  } catch (...) {
    reporter_.stop(std::current_exception());
  }
}

void Denoising::denoise(const Pack& whole) {
  Pack pack;
  for (auto* task : whole) {
    const auto obstacle = receiver_.obstacle(*task);
    if (obstacle.empty()) {
      pack.push_back(task);
      continue;
    }
    reporter_.count_steps(task->steps_left());
    reporter_.finished(
        task->failed({ErrorKind::output,
                      task->clip->output + ": was not begun, after another clip failed there: " + obstacle}));
  }
  if (pack.empty()) return;
  for (const auto* task : pack) reporter_.clip_started(task->plan_index, task->clip_index);
  use_threads(is_quicker_on_one_thread(*pack.front()) ? 1 : options_.threads);
  const Stopwatch watch;
  std::vector<at::Tensor> latents;
  try {
    latents = sample_in_memory(pack);
  } catch (...) {
    const auto error = as_error(std::current_exception());
    if (is_cancellation(error)) throw;
    release_free_memory();
    if (pack.size() > 1) {
      if (error.kind() == ErrorKind::out_of_memory)
        reporter_.note("memory did not suffice to denoise " + std::to_string(pack.size()) +
                       " clips together; they go on in halves");
      return halve(pack);
    }
    reporter_.count_steps(pack[0]->steps_left());
    reporter_.finished(
        pack[0]->failed(error.kind() == ErrorKind::out_of_memory ? options_.out_of_memory(*pack[0]) : error));
    return;
  }
  if (options_.release_memory) release_free_memory();
  for (std::size_t i = 0; i < pack.size(); ++i) {
    pack[i]->denoise_seconds = watch.seconds() / static_cast<double>(pack.size());
    receiver_.hand_over(*pack[i], latents[i]);
  }
}

void Denoising::halve(const Pack& pack) {
  const auto middle = pack.begin() + static_cast<std::ptrdiff_t>(pack.size() / 2);
  denoise({pack.begin(), middle});
  denoise({middle, pack.end()});
}

// Each text by itself, so that its keys and values do not depend on what else is in the pack.
TextContext Denoising::text_context(const Pack& pack, std::size_t padding_segments) const {
  std::map<std::size_t, int64_t> place_of_text;
  std::vector<TextContext> contexts;
  TextContext joined;
  const auto add = [&](std::size_t text) {
    const auto [found, is_new] = place_of_text.try_emplace(text, static_cast<int64_t>(contexts.size()));
    if (is_new) contexts.push_back(transformer_.prepare_text(texts_[text].to(device_).unsqueeze(0), {}));
    joined.text_of_segment.push_back(found->second);
  };
  for (const auto* task : pack) add(task->text);
  for (std::size_t i = 0; i < padding_segments; ++i) add(pack.front()->text);
  for (const auto* task : pack)
    if (task->plan->branches == 2) add(task->negative_text);
  for (std::size_t block = 0; block < contexts.front().blocks.size(); ++block) {
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (const auto& context : contexts) {
      keys.push_back(context.blocks[block].keys);
      values.push_back(context.blocks[block].values);
    }
    joined.blocks.push_back({at::cat(keys), at::cat(values)});
  }
  return joined;
}

std::vector<at::Tensor> Denoising::sample_in_memory(const Pack& pack) {
  try {
    const std::shared_lock beside(memory_);
    return sample_pack(pack);
  } catch (...) {
    if (pack.size() > 1 || as_error(std::current_exception()).kind() != ErrorKind::out_of_memory) throw;
  }
  const std::unique_lock alone(memory_);
  release_free_memory();
  return sample_pack(pack);
}

std::vector<at::Tensor> Denoising::sample_pack(const Pack& pack) {
  const auto& first = *pack.front();
  auto scheduler_config = configs_.scheduler;
  if (first.plan->flow_shift) scheduler_config.flow_shift = *first.plan->flow_shift;
  const auto scheduler = make_scheduler(parse_scheduler_kind(first.plan->scheduler), scheduler_config,
                                        first.plan->steps, first.plan->eta);

  std::vector<Clip> clips;
  std::vector<Guidance> guidance;
  std::vector<ClipNoise> noises;
  std::vector<TokenGrid> grids;
  std::vector<SchedulerHistory> histories;
  std::vector<int64_t> begins = {0};  // of each clip among the values
  int64_t tokens = 0;
  for (const auto* task : pack) {
    const auto& plan = *task->plan;
    if (task->clip->trace) trace_text(*task->clip->trace, *task, texts_);
    auto& noise = noises.emplace_back(task->clip->seed, plan.latent_shape);
    const auto drawn = plan.init_latents ? read_latents(*plan.init_latents, plan.latent_shape) : noise.next();
    auto initial = (drawn * scheduler->init_noise_sigma()).to(device_);
    grids.push_back(token_grid(initial.sizes(), patch_));
    if (task->checkpoint) {
      noise.restore(task->checkpoint->generator);
      initial = unpatchify(task->checkpoint->values, grids.back(), patch_).to(device_);
      auto history = task->checkpoint->history;
      for (auto& prediction : history.predictions) prediction = prediction.to(device_);
      if (history.last_sample) history.last_sample = history.last_sample->to(device_);
      histories.push_back(std::move(history));
    }
    clips.push_back({initial, {}});
    guidance.push_back(plan.branches == 2 ? Guidance{plan.guidance_scale, plan.guidance_rescale}
                                          : Guidance{});
    begins.push_back(begins.back() + plan.tokens);
    tokens += task->tokens();
  }
  std::size_t padding = 0;
  if (device_.is_cpu() && tokens < least_tokens) {
    clips.push_back(
        {at::zeros({clips[0].latents.size(0), patch_.t, patch_.h, patch_.w * (least_tokens - tokens)}), {}});
    guidance.emplace_back();
    if (!histories.empty()) {
      auto nothing = histories.front();
      for (auto& prediction : nothing.predictions)
        prediction = at::zeros({least_tokens - tokens, prediction.size(1)});
      if (nothing.last_sample)
        nothing.last_sample = at::zeros({least_tokens - tokens, nothing.last_sample->size(1)});
      histories.push_back(std::move(nothing));
    }
    padding = 1;
  }
  if (!histories.empty()) scheduler->set_history(join_histories(histories));

  auto branches = clips;
  for (std::size_t i = 0; i < clips.size(); ++i)
    if (guidance[i].scale > 1) branches.push_back(clips[i]);
  SamplingHooks hooks;
  hooks.noise = [&](int64_t) {
    std::vector<at::Tensor> parts;
    for (auto& noise : noises) parts.push_back(patchify(noise.next(), patch_));
    if (padding > 0) parts.push_back(at::zeros({least_tokens - tokens, parts[0].size(1)}));
    return at::cat(parts).to(device_);
  };
  const auto rows_of = [&](std::size_t clip, const at::Tensor& values) {
    return values.slice(0, begins[clip], begins[clip + 1]);
  };
  hooks.after_step = [&](int64_t step, int64_t timestep, const at::Tensor& values) {
    const bool keeps = options_.checkpoint_every &&
                       ((step + 1) % *options_.checkpoint_every == 0 || step + 1 == first.plan->steps);
    for (std::size_t i = 0; i < pack.size(); ++i) {
      if (pack[i]->clip->trace)
        save_safetensors(fs::path(*pack[i]->clip->trace) / step_file(step),
                         {{"latents", unpatchify(rows_of(i, values), grids[i], patch_).unsqueeze(0)},
                          {"timestep", at::tensor({timestep}, at::TensorOptions(at::kLong))}});
      if (keeps)
        save_checkpoint(options_.checkpoint_path(*pack[i]->clip),
                        {step + 1, rows_of(i, values),
                         history_rows(scheduler->history(), begins[i], begins[i + 1]), noises[i].state()},
                        *pack[i]->plan, *pack[i]->clip, options_.model_hash());
    }
  };
  PackObserver observer(reporter_, static_cast<int64_t>(pack.size()));
  std::vector<at::Tensor> latents;
  try {
    const auto values = sample(transformer_, text_context(pack, padding), *scheduler,
                               t2v::pack(branches, patch_), guidance, hooks, observer, first.first_step());
    for (std::size_t i = 0; i < pack.size(); ++i)
      latents.push_back(unpatchify(rows_of(i, values), grids[i], patch_).contiguous());
  } catch (...) {
    observer.take_back();
    throw;
  }
  return latents;
}

}  // namespace t2v
