#include "pipeline/run/model_run.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "pipeline/components.h"
#include "pipeline/plan/memory.h"
#include "pipeline/run/clip_writer.h"
#include "pipeline/run/denoising.h"
#include "pipeline/run/failures.h"
#include "pipeline/run/picture_states.h"
#include "pipeline/run/stopwatch.h"
#include "pipeline/run/thread_count.h"

namespace t2v {

namespace {

constexpr int64_t text_bytes_at_once = int64_t{256} << 20;

class ModelRun {
 public:
  ModelRun(std::vector<ClipTask> tasks, BatchLimits limits, bool only_model, Reporter& reporter,
           const FrameReceiver& frames, PreparationTimes& times)
      : tasks_(std::move(tasks)),
        plan_(*tasks_.front().plan),
        limits_(std::move(limits)),
        only_model_(only_model),
        reporter_(reporter),
        frames_(frames),
        times_(times) {
    if (!limits_.memory_limit) limits_.memory_limit = plan_.memory_limit;
    if (!limits_.token_budget) limits_.token_budget = plan_.settings.token_budget;
    if (!limits_.checkpoint_every) limits_.checkpoint_every = plan_.settings.checkpoint_every;
  }

  void run() {
    try {
      open();
      while (!tasks_.empty() && !reporter_.stopped()) {
        auto now = next_tasks();
        load_and_make(now);
      }
    } catch (...) {
      const auto error = as_error(std::current_exception());
      if (is_cancellation(error) || reporter_.stopped() || only_model_) throw;
      fail(tasks_, error);
    }
  }

 private:
  const Model& model() const { return *configs_.model; }

  void fail(std::vector<ClipTask>& tasks, const Error& error) {
    for (const auto& task : tasks) {
      reporter_.count_steps(task.steps_left());
      reporter_.finished(task.failed(error));
    }
    tasks.clear();
  }

  std::filesystem::path checkpoint_of(const PlannedClip& clip) const {
    return checkpoint_path(clip, limits_.checkpoint_folder);
  }

  void open() {
    configs_ = read_model_configs(open_planned_folder(plan_));
    device_ = parse_device(plan_.device);
    dtype_ = parse_dtype(plan_.dtype, device_);
    hash_ = model_hash(model().folder(), [this] { reporter_.check_cancelled(); });
    sizes_ = component_sizes(model());
    tokenizer_ = model().load_tokenizer();
    offload_ = parse_offload(plan_.settings.offload.value_or("auto"));
    vae_dtype_ = parse_vae_dtype(plan_.settings.vae_dtype.value_or("auto"), device_, dtype_);
    tiles_ = plan_.settings.vae_tiling == "on";
    fit_into_memory();
    if (limits_.checkpoint_every) resume();
  }

  RunShape shape_of(const std::vector<ClipSize>& clips) const {
    return shape_run(
        model(), sizes_, device_, dtype_, clips,
        {plan_.settings.threads, limits_.token_budget, limits_.memory_limit, offload_, tiles_, vae_dtype_});
  }

  // Drops what cannot fit. How weights are offloaded is one way for the whole run: that of the clip which
  // takes most.
  void fit_into_memory() {
    if (!limits_.memory_limit && offload_) return;
    auto most = Offload::none;
    std::vector<ClipTask> fitting;
    for (auto& task : tasks_) {
      try {
        most = std::max(most, shape_of({clip_size(*task.plan)}).offload);
        fitting.push_back(std::move(task));
      } catch (const Error& error) {
        reporter_.count_steps(task.steps());
        reporter_.finished(task.failed(error));
      }
    }
    tasks_ = std::move(fitting);
    if (!offload_) offload_ = most;
  }

  // An allocation has failed though the clip was by itself.
  Error out_of_memory(const ClipTask& task) const {
    const auto clip = clip_size(*task.plan);
    const RunShape shape{
        .pack_tokens = clip.tokens, .decode_chunk = 1, .tiles = tiles_, .vae_dtype = vae_dtype_};
    const auto need = estimate_memory(model(), sizes_, device_, dtype_, {clip}, shape).peak;
    auto flags = fitting_flags(model(), sizes_, device_, dtype_, clip, shape, need * 2 / 3);
    if (offload_ != Offload::block) flags += std::string(flags.empty() ? "" : " or ") + "--offload block";
    return {ErrorKind::out_of_memory,
            task.name() + ": out of memory. A clip of " + std::to_string(clip.width) + "x" +
                std::to_string(clip.height) + ", " + std::to_string(clip.frames) + " frames, needs about " +
                bytes_text(need) + (flags.empty() ? "" : "; with a third less, " + flags + " would fit") +
                (device_.is_cuda() && dtype_ == at::kFloat ? ". --dtype bfloat16 halves the weights" : "")};
  }

  void resume() {
    std::vector<ClipTask> fitting;
    for (auto& task : tasks_) {
      const auto path = checkpoint_of(*task.clip);
      try {
        if (auto found = read_checkpoint(path, *task.plan, *task.clip, hash_)) {
          task.checkpoint = std::make_shared<Checkpoint>(std::move(*found));
          reporter_.note(task.name() + ": goes on after step " + std::to_string(task.steps_done()) + " of " +
                         std::to_string(task.steps()));
          reporter_.count_steps(task.steps_done());
        }
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::usage || !limits_.restart_changed) {
          reporter_.count_steps(task.steps());
          reporter_.finished(task.failed(error));
          continue;
        }
        reporter_.note(task.name() + ": starts anew, its checkpoint is of other settings");
      }
      fitting.push_back(std::move(task));
    }
    tasks_ = std::move(fitting);
  }

  // As many of the tasks, from the front, as have texts whose states fit into memory at once.
  std::vector<ClipTask> next_tasks() {
    std::map<std::string, std::size_t> place;
    std::size_t count = 0;
    int64_t bytes = 0;
    texts_.clear();
    text_errors_.clear();
    wanted_texts_.clear();
    const auto place_of = [&](const std::string& text) {
      const auto [found, is_new] = place.try_emplace(text, wanted_texts_.size());
      if (is_new) {
        wanted_texts_.push_back(text);
        const auto tokens = tokenizer_->encode(text, static_cast<std::size_t>(plan_.max_text_tokens))
                                .ids.size();
        bytes += static_cast<int64_t>(tokens * c10::elementSize(dtype_)) * model().text_width();
      }
      return found->second;
    };
    for (; count < tasks_.size() && bytes < text_bytes_at_once; ++count) {
      auto& task = tasks_[count];
      for (const auto& shot : task.plan->shots) task.texts.push_back(place_of(shot.cleaned_prompt));
      if (task.plan->branches == 2) task.negative_text = place_of(task.plan->cleaned_negative_prompt);
    }
    const auto middle = tasks_.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<ClipTask> now(std::make_move_iterator(tasks_.begin()), std::make_move_iterator(middle));
    tasks_.erase(tasks_.begin(), middle);
    return now;
  }

  void load_and_make(std::vector<ClipTask>& tasks) {
    try {
      load(tasks);
    } catch (...) {
      const auto error = as_error(std::current_exception());
      if (is_cancellation(error) || reporter_.stopped() || only_model_) throw;
      return fail(tasks, error);
    }
    fail_where_text_failed(tasks);
    // On the CPU large clips are made after the small ones, which share the cores in another way.
    const auto middle = std::stable_partition(tasks.begin(), tasks.end(), [&](const ClipTask& task) {
      return device_.is_cuda() || is_small_step(model(), task.tokens());
    });
    for (const auto& [begin, end] : {std::pair{tasks.begin(), middle}, std::pair{middle, tasks.end()}}) {
      std::vector<ClipTask> alike(std::make_move_iterator(begin), std::make_move_iterator(end));
      if (!alike.empty()) make(alike);
    }
  }

  // The small components come first, so that what is wrong with them is said early; the text encoder is freed
  // before the transformer comes.
  void load(std::vector<ClipTask>& tasks) {
    const Stopwatch loading;
    const double text_before = times_.text_seconds;
    reporter_.progress({"load", 0, 3});
    if (!vae_) {
      vae_ = load_vae(model(), {device_, vae_dtype_});
      vae_hash_ = component_hash(model().folder(), "vae");
    }
    reporter_.progress({"load", 1, 3});
    reporter_.check_cancelled();
    denoiser_.reset();
    embed_texts();
    release_free_memory();
    if (const auto inputs = model().picture_inputs(); inputs && inputs->are_encoded) {
      encode_pictures(*load_image_encoder(model(), {device_, dtype_}), tasks, reporter_);
      release_free_memory();
    }
    reporter_.progress({"load", 2, 3});
    reporter_.check_cancelled();
    denoiser_ = load_denoiser(model(), placement());
    reporter_.progress({"load", 3, 3});
    times_.load_seconds += loading.seconds() - (times_.text_seconds - text_before);
  }

  Placement placement() const { return {device_, dtype_, offload_ == Offload::block}; }

  void embed_texts() {
    const Stopwatch encoding;
    const auto conditioner = load_text(model(), tokenizer_, placement());
    // A small encoder is quicker on one thread, and a short prompt has few rows, which several threads would
    // round differently.
    constexpr int64_t small_encoder = 50'000'000;
    const ThreadCount threads(
        device_.is_cpu() && sizes_.text_encoder < small_encoder ? std::optional<int64_t>(1) : std::nullopt);
    for (std::size_t i = 0; i < wanted_texts_.size(); ++i) {
      reporter_.check_cancelled();
      try {
        auto& text = texts_.emplace_back(conditioner->encode(wanted_texts_[i]));
        for (auto& states : text.states) states = states.cpu();
      } catch (const Error& error) {  // of this text, not of the model
        texts_.resize(i + 1);
        text_errors_.emplace(i, error);
      }
    }
    times_.text_seconds += encoding.seconds();
  }

  void fail_where_text_failed(std::vector<ClipTask>& tasks) {
    std::erase_if(tasks, [&](const ClipTask& task) {
      auto texts = task.texts;
      if (task.plan->branches == 2) texts.push_back(task.negative_text);
      auto found = text_errors_.end();
      for (const auto text : texts)
        if (found == text_errors_.end()) found = text_errors_.find(text);
      if (found == text_errors_.end()) return false;
      reporter_.count_steps(task.steps_left());
      reporter_.finished(task.failed(found->second));
      return true;
    });
  }

  void make(std::vector<ClipTask>& tasks) {
    const auto path = [this](const PlannedClip& clip) { return checkpoint_of(clip); };
    const auto no_memory = [this](const ClipTask& task) { return out_of_memory(task); };
    std::vector<ClipSize> clips;
    for (const auto& task : tasks) clips.push_back(clip_size(*task.plan));
    const auto shape = shape_of(clips);
    if (!denoiser_) denoiser_ = load_denoiser(model(), placement());  // which went before decoding
    if (shape.decode_chunk > 0 && limits_.memory_limit)
      reporter_.note("to stay within " + bytes_text(*limits_.memory_limit) + ": at most " +
                     std::to_string(shape.pack_tokens) +
                     " tokens at once, decoding one latent frame at a time" +
                     (shape.overlap ? "" : ", one clip after the other"));
    vae_->set_chunk(shape.decode_chunk);
    vae_->set_tiling(shape.tiles);
    const int threads = at::get_num_threads();
    MemoryGate memory;
    ClipWriter writer(*vae_, {shape.workers > 1 ? 1 : threads, hash_, vae_hash_, path, no_memory, frames_},
                      memory, reporter_);
    const DenoisingOptions options{.workers = shape.workers,
                                   .threads = std::max(1, threads / static_cast<int>(shape.workers)),
                                   .token_budget = shape.token_budget,
                                   .release_memory = !shape.overlap,
                                   .checkpoints = {limits_.checkpoint_every, path, hash_},
                                   .out_of_memory = no_memory};
    std::mutex guard;
    std::vector<std::pair<ClipTask, at::Tensor>> denoised;  // of Offload::stage
    const auto hand_over = [&](const ClipTask& task, const at::Tensor& latents) {
      if (offload_ == Offload::stage) {
        const std::lock_guard alone(guard);
        denoised.emplace_back(task, latents);
        return;
      }
      writer.hand_over(task, latents);
      if (!shape.overlap) writer.wait();
    };
    const LatentsReceiver receiver{
        .hand_over = hand_over,
        .open = [&](const ClipTask& task) { return writer.open(task); },
        .close = [&](const ClipTask& task, ClipStream& stream) { return writer.close(task, stream); },
        .failed = [&](const ClipTask& task, const Error& error) { return writer.failed(task, error); },
        .obstacle = [&](const ClipTask& task) { return writer.obstacle(*task.clip); }};
    Denoising(*denoiser_, *vae_, configs_, device_, texts_, options, memory, reporter_, receiver).run(tasks);
    if (offload_ == Offload::stage) {
      denoiser_.reset();
      release_free_memory();
    }
    for (const auto& [task, latents] : denoised) {
      writer.hand_over(task, latents);
      writer.wait();
    }
    writer.finish();
    reporter_.rethrow_reason();
  }

  std::vector<ClipTask> tasks_;  // not yet begun
  const GenerationPlan& plan_;   // of the first one: model, device and dtype are those of all
  BatchLimits limits_;
  bool only_model_;
  Reporter& reporter_;
  const FrameReceiver& frames_;
  PreparationTimes& times_;
  ModelConfigs configs_;
  at::Device device_ = at::kCPU;
  at::ScalarType dtype_ = at::kFloat;
  ComponentSizes sizes_;
  std::optional<Offload> offload_;  // there once the model is open
  at::ScalarType vae_dtype_ = at::kFloat;
  bool tiles_ = false;
  std::string hash_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::string> wanted_texts_;
  std::vector<TextStates> texts_;             // of wanted_texts_, on the CPU
  std::map<std::size_t, Error> text_errors_;  // of those that could not be embedded
  std::unique_ptr<VideoVae> vae_;
  std::string vae_hash_;
  std::unique_ptr<Denoiser> denoiser_;
};

}  // namespace

void run_model(std::vector<ClipTask> tasks, BatchLimits limits, bool only_model, Reporter& reporter,
               const FrameReceiver& frames, PreparationTimes& times) {
  ModelRun(std::move(tasks), std::move(limits), only_model, reporter, frames, times).run();
}

}  // namespace t2v
