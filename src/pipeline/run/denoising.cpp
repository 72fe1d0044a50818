#include "pipeline/run/denoising.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <system_error>
#include <thread>

#include "pipeline/latents_file.h"
#include "pipeline/plan/memory.h"
#include "pipeline/plan/windows.h"
#include "pipeline/run/failures.h"
#include "pipeline/run/packing.h"
#include "pipeline/run/ring_denoiser.h"
#include "pipeline/run/stopwatch.h"

namespace t2v {

namespace {

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

// What clips of one pack have in common. Numbers in full: 0.1234561 and 0.1234564 are two schedules.
std::string schedule_of(const ClipTask& task, const SchedulerConfig& config) {
  const auto& plan = *task.plan;
  std::string schedule = plan.scheduler + " " + plan.settings.sigma_schedule.value_or("") + " " +
                         std::to_string(plan.steps);
  const auto add = [&](double number) {
    char text[40];
    std::snprintf(text, sizeof text, " %.17g", number);
    schedule += text;
  };
  add(plan.eta);
  add(plan.flow_shift.value_or(0));
  for (const auto* levels : {&plan.settings.timesteps, &plan.settings.sigmas})
    for (const double level : levels->value_or(std::vector<double>())) add(level);
  if (config.use_dynamic_shifting && !plan.flow_shift) schedule += " tokens " + std::to_string(plan.tokens);
  schedule += " from " + std::to_string(task.first_step());
  if (plan.windows.size() > 1) {
    for (const auto number : {plan.context_noise, task.steps_done()})
      schedule += " " + std::to_string(number);
    for (const auto& w : plan.windows)
      for (const auto number :
           {w.begin, w.context, w.frames, w.kept, static_cast<int64_t>(w.shot), w.skipped, w.after})
        schedule += " " + std::to_string(number);
  }
  if (!plan.conditions.empty())
    for (const auto number :
         {plan.first_step, static_cast<int64_t>(plan.levels_per_token), plan.context_noise})
      schedule += " known " + std::to_string(number);
  if (plan.reads_frame_rate) add(plan.fps);
  if (plan.reads_control) schedule += " control " + Json(plan.settings.control_scale.value()).dump();
  return schedule;
}

// What is known has been noised for the network alone.
at::Tensor with_known(const at::Tensor& latents, const KnownLatents& known) {
  if (!known.latents.defined()) return latents;
  const auto count = known.latents.size(1);
  const auto cells = known.cells.slice(0, 0, count).unsqueeze(0).to(latents.device());
  return at::cat({at::where(cells, known.latents, latents.slice(1, 0, count)), latents.slice(1, count)}, 1);
}

}  // namespace

Denoising::Denoising(const Denoiser& denoiser, const VideoVae& vae, const ModelConfigs& configs,
                     at::Device device, const std::vector<TextStates>& texts, DenoisingOptions options,
                     MemoryGate& memory, Reporter& reporter, LatentsReceiver receiver)
    : denoiser_(denoiser),
      vae_(vae),
      configs_(configs),
      device_(device),
      texts_(texts),
      options_(std::move(options)),
      memory_(memory),
      reporter_(reporter),
      receiver_(std::move(receiver)) {}

bool Denoising::is_quicker_on_one_thread(const ClipTask& task) const {
  return device_.is_cpu() && !task.plan->settings.threads && is_small_step(*configs_.model, task.tokens());
}

void Denoising::run(std::vector<ClipTask>& tasks) {
  std::vector<PackItem> items;
  // On the CPU a large clip gains nothing from company, and is denoised by all threads; small ones share a
  // pass, one thread a pack.
  for (const auto& task : tasks)
    items.push_back({task.tokens(), schedule_of(task, configs_.scheduler),
                     device_.is_cpu() && !is_small_step(*configs_.model, task.tokens())});
  std::vector<Pack> packs;
  for (const auto& indices : make_packs(items, options_.token_budget, options_.workers)) {
    auto& pack = packs.emplace_back();
    for (const auto index : indices) pack.push_back(&tasks[index]);
  }
  std::vector<std::jthread> others;  // joined when this returns, however it does
  const auto count = std::min(options_.workers, packs.size());
  others.reserve(count);
  try {
    for (std::size_t i = 1; i < count; ++i) others.emplace_back([&] { work(packs); });
  } catch (const std::system_error&) {  // no more threads: the run goes on with those that there are
  }
  work(packs);
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
    reporter_.finished(task->failed(
        {ErrorKind::output, task->name() + ": was not begun, after another clip failed there: " + obstacle}));
  }
  if (pack.empty()) return;
  for (const auto* task : pack) reporter_.clip_started(task->plan_index, task->clip_index);
  use_threads(is_quicker_on_one_thread(*pack.front()) ? 1 : options_.threads);
  const Stopwatch watch;
  std::vector<Made> made;
  try {
    made = make_in_memory(pack);
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
    reporter_.finished(receiver_.failed(
        *pack[0], error.kind() == ErrorKind::out_of_memory ? options_.out_of_memory(*pack[0]) : error));
    return;
  }
  if (options_.release_memory) release_free_memory();
  const double seconds = watch.seconds() / static_cast<double>(pack.size());
  for (std::size_t i = 0; i < pack.size(); ++i) {
    pack[i]->denoise_seconds = seconds - made[i].stream.decode_seconds;
    if (made[i].latents.defined())
      receiver_.hand_over(*pack[i], made[i].latents);
    else
      close(*pack[i], made[i].stream);
    pack[i]->content = std::make_shared<ClipContent>();  // a run of many clips keeps that of none
  }
}

void Denoising::close(const ClipTask& task, ClipStream& stream) {
  try {
    reporter_.finished(receiver_.close(task, stream));
  } catch (...) {
    const auto error = as_error(std::current_exception());
    if (is_cancellation(error) || reporter_.stopped()) throw;
    reporter_.finished(receiver_.failed(task, error));
  }
}

void Denoising::halve(const Pack& pack) {
  const auto middle = pack.begin() + static_cast<std::ptrdiff_t>(pack.size() / 2);
  denoise({pack.begin(), middle});
  denoise({middle, pack.end()});
}

std::vector<Denoising::Made> Denoising::make_in_memory(const Pack& pack) {
  const auto& task = *pack.front();
  // What went to stdout cannot be taken back.
  const bool again = pack.size() == 1 && (task.clip->output != "-" || task.plan->windows.size() == 1);
  const auto no_memory = [&] {
    return again && as_error(std::current_exception()).kind() == ErrorKind::out_of_memory;
  };
  try {
    const auto beside = memory_.beside();
    return make(pack, false);
  } catch (...) {
    if (!no_memory()) throw;
  }
  const auto alone = memory_.alone();
  release_free_memory();
  if (task.plan->branches == 1) return make(pack, false);
  try {
    return make(pack, false);
  } catch (...) {
    if (!no_memory()) throw;
  }
  release_free_memory();
  reporter_.note("memory did not suffice for both branches of the guidance of " + task.name() +
                 " at once; they take turns");
  return make(pack, true);
}

std::vector<Denoising::Made> Denoising::make(const Pack& pack, bool branches_in_turn) {
  for (auto* task : pack)
    if ((!task->plan->conditions.empty() || task->plan->reads_control) && !task->content->frames.defined())
      task->content = std::make_shared<ClipContent>(
          read_content(*task->plan, vae_.spec().spatial_ratio, reporter_));
  const bool is_loop = pack.front()->plan->settings.loop.value_or(false);
  const RingDenoiser ring(
      denoiser_, is_loop ? latent_frames_of_loop(*pack.front()->plan) : std::vector<std::vector<int64_t>>());
  PackSampler sampler(is_loop ? ring : denoiser_, configs_, device_, texts_, options_.checkpoints, pack,
                      branches_in_turn);
  PackObserver observer(reporter_, static_cast<int64_t>(pack.size()));
  try {
    const auto& plan = *pack.front()->plan;
    if (is_loop) return decoded_loops(pack, sampler.sample_window(0, known_of(pack, 0, {}), observer));
    if (plan.hands_on_latents) return make_sequence(pack, sampler, observer);
    if (plan.windows.size() > 1) return make_windows(pack, sampler, observer);
    std::vector<Made> made;
    for (auto& latents : sampler.sample_window(0, known_of(pack, 0, {}), observer))
      made.push_back({std::move(latents), {}});
    return made;
  } catch (...) {
    observer.take_back();
    throw;
  }
}

std::vector<KnownLatents> Denoising::known_of(const Pack& pack, std::size_t window,
                                              const std::vector<at::Tensor>& contexts) const {
  std::vector<KnownLatents> known;
  for (std::size_t i = 0; i < pack.size(); ++i)
    known.push_back(known_latents(vae_, device_, *pack[i]->content, pack[i]->plan->windows[window],
                                  contexts.empty() ? at::Tensor() : contexts[i]));
  return known;
}

std::vector<Denoising::Made> Denoising::make_sequence(const Pack& pack, PackSampler& sampler,
                                                      Observer& observer) {
  const auto& plan = *pack.front()->plan;
  std::vector<Made> made(pack.size());
  const auto shared = [&](std::size_t window) {  // latent frames with the window before
    return plan.windows[window].context > 0 ? vae_.spec().latent_frames(plan.windows[window].context) : 0;
  };
  const auto add = [&](std::size_t clip, const at::Tensor& latents, std::size_t window) {
    auto& all = made[clip].latents;
    all = all.defined() ? at::cat({all, latents.slice(1, shared(window))}, 1) : latents;
  };
  const auto handed_on = [&](std::size_t window) {
    std::vector<KnownLatents> known;
    for (std::size_t i = 0; i < pack.size(); ++i) {
      const auto shape = window_latent_shape(*pack[i]->plan, window);
      const auto cells = at::arange(shape[2]).lt(shared(window)).view({-1, 1, 1});
      known.push_back(
          {made[i].latents.slice(1, -shared(window)), cells.expand({shape[2], shape[3], shape[4]}), {}});
    }
    return known;
  };
  const auto first = pack.front()->first_window();
  for (std::size_t i = 0; i < pack.size(); ++i)
    for (std::size_t window = 0; window < first; ++window)
      add(i,
          read_latents(window_latents_path(options_.checkpoints.path(*pack[i]->clip), window),
                       window_latent_shape(*pack[i]->plan, window))
              .to(device_),
          window);
  for (auto window = first; window < plan.windows.size(); ++window) {
    const auto known = window == 0 ? known_of(pack, 0, {}) : handed_on(window);
    const auto latents = sampler.sample_window(window, known, observer);
    for (std::size_t i = 0; i < pack.size(); ++i) {
      const auto finished = with_known(latents[i], known[i]);
      add(i, finished, window);
      if (options_.checkpoints.every && window + 1 < plan.windows.size())
        save_latents(window_latents_path(options_.checkpoints.path(*pack[i]->clip), window), finished,
                     Json::object());
    }
  }
  return made;
}

std::vector<Denoising::Made> Denoising::decoded_loops(const Pack& pack,
                                                      const std::vector<at::Tensor>& latents) const {
  const auto& windows = pack.front()->plan->windows;
  const auto frames = latent_frames_of_loop(*pack.front()->plan);
  std::vector<Made> made(pack.size());
  for (std::size_t i = 0; i < pack.size(); ++i) {
    auto& stream = made[i].stream = receiver_.open(*pack[i]);
    const Stopwatch decoding;
    for (std::size_t window = 0; window < windows.size(); ++window) {
      reporter_.check_cancelled();
      const auto of_window = at::tensor(frames[window], at::TensorOptions(at::kLong).device(device_));
      decode_window(vae_, latents[i].index_select(1, of_window), windows, window,
                    [&](const at::Tensor& part) { stream.sink->write(part); });
    }
    stream.decode_seconds = decoding.seconds();
  }
  return made;
}

std::vector<Denoising::Made> Denoising::make_windows(const Pack& pack, PackSampler& sampler,
                                                     Observer& observer) {
  const auto& plan = *pack.front()->plan;
  const auto first = pack.front()->first_window();
  std::vector<Made> made(pack.size());
  const bool from_end = plan.windows.back().after > 0;
  std::vector<at::Tensor> contexts(pack.size());  // frames that the next window begins with, or ends with
  std::vector<std::vector<at::Tensor>> waiting(pack.size());  // latents of a clip that is made from its end
  const auto decode = [&](std::size_t clip, const at::Tensor& latents, std::size_t window) {
    const Stopwatch decoding;
    auto& stream = made[clip].stream;
    contexts[clip] = decode_window(vae_, latents, plan.windows, window,
                                   [&](const at::Tensor& frames) { stream.sink->write(frames); });
    stream.decode_seconds += decoding.seconds();
  };
  const auto take = [&](std::size_t clip, const at::Tensor& latents, std::size_t window) {
    if (!from_end) return decode(clip, latents, window);
    const Stopwatch decoding;
    waiting[clip].push_back(latents.cpu());
    if (window + 1 < plan.windows.size())
      contexts[clip] = decode_beginning(vae_, latents, plan.windows[window + 1]);
    made[clip].stream.decode_seconds += decoding.seconds();
  };
  for (std::size_t i = 0; i < pack.size(); ++i) {
    made[i].stream = receiver_.open(*pack[i]);
    for (std::size_t window = 0; window < first; ++window) {
      reporter_.check_cancelled();
      const auto path = window_latents_path(options_.checkpoints.path(*pack[i]->clip), window);
      take(i, read_latents(path, plan.latent_shape).to(device_), window);
    }
  }
  for (auto window = first; window < plan.windows.size(); ++window) {
    const auto latents = sampler.sample_window(window, known_of(pack, window, contexts), observer);
    for (std::size_t i = 0; i < pack.size(); ++i) {
      take(i, latents[i], window);
      if (options_.checkpoints.every && window + 1 < plan.windows.size())
        save_latents(window_latents_path(options_.checkpoints.path(*pack[i]->clip), window), latents[i],
                     Json::object());
    }
  }
  for (std::size_t i = 0; i < pack.size(); ++i)
    for (auto window = waiting[i].size(); window-- > 0;) {
      reporter_.check_cancelled();
      decode(i, waiting[i][window].to(device_), window);
    }
  return made;
}

}  // namespace t2v
