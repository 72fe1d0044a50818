#include "train/run/run.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <thread>

#include "base/atomic_file.h"
#include "pipeline/components.h"
#include "t2v/error.h"
#include "text/prompt.h"
#include "train/data/scene_helper.h"
#include "train/loop/initial_weights.h"
#include "train/run/begin.h"
#include "train/run/files.h"
#include "train/run/model_writer.h"
#include "train/run/report.h"
#include "train/run/setup.h"
#include "weights/safetensors.h"
#include "world/adherence.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr const char* stage_names[] = {"vae", "vae-decoder", "denoiser", "reader"};

// Whether some clips' latent frames have noise levels of their own.
bool trains_levels_per_frame(const DenoiserTaskConfig& task) {
  return task.objective.first_clean_share + task.objective.independent_share > 0 &&
         std::any_of(task.lengths.begin(), task.lengths.end(), [](const LengthShare& length) {
           return length.frames > 1 && (length.first > 0 || length.last > 0);
         });
}

at::Device training_device(const std::string& name, const Processes& processes) {
  const auto device = parse_device(name);
  if (!device.is_cuda() || name.starts_with("cuda:")) return device;
  return {at::kCUDA,
          static_cast<at::DeviceIndex>(processes.local_rank() % static_cast<int64_t>(at::getNumGPUs()))};
}

class TrainingRun {
 public:
  TrainingRun(TrainingConfig config, const TrainingRequest& request, const Processes& processes,
              Observer& observer)
      : request_(request),
        processes_(processes),
        observer_(observer),
        device_(training_device(request.device, processes)),
        folder_(request.out),
        model_folder_(request.out / "model"),
        setup_(set_up_run(std::move(config), request.config)) {
    check_run(setup_, processes_.count());
    const auto& given = setup_.config;
    source_ = given.data ? make_folder_source(*given.data, given.sizes, setup_.settings.fps.value_or(16),
                                              setup_.model().vae().temporal_ratio, observer_)
              : given.world_number == 2 ? make_book_source(given.sizes, given.book)
                                        : make_world_source(given.sizes, given.world);
    if (processes_.rank() == 0 && is_absent(model_folder_ / "model_index.json"))
      begin_model(setup_, *source_, folder_, observer_);
    processes_.wait_for_all();
    check_begun(setup_, folder_);
    configs_ = read_model_configs(open_model_folder(model_folder_));
    // A card runs one lane at a time, so that it holds the activations of one.
    workers_ = device_.is_cpu() ? request.threads.value_or(std::max(1U, std::thread::hardware_concurrency()))
                                : 1;
  }

  void run() {
    double planned = 0;
    for (const auto& stage : setup_.config.stages) planned += stage.schedule.minutes.value_or(0);
    for (std::size_t i = 0; i < setup_.config.stages.size(); ++i) {
      auto stage = setup_.config.stages[i];
      if (request_.minutes) {
        // Beside stages with minutes, those with steps alone stay as they are.
        if (planned == 0)
          stage.schedule.minutes = *request_.minutes / static_cast<double>(setup_.config.stages.size());
        else if (stage.schedule.minutes)
          *stage.schedule.minutes *= *request_.minutes / planned;
        if (stage.schedule.minutes) stage.schedule.steps = std::nullopt;
      }
      const auto name = std::to_string(i + 1) + "-" + stage_names[static_cast<int>(stage.kind)];
      if (!is_absent(folder_ / (name + ".done"))) {
        observer_.note(name + ": done before");
        continue;
      }
      if (stage.kind == StageKind::denoiser)
        train_denoiser(stage, name);
      else if (stage.kind == StageKind::reader)
        train_reader(stage, name);
      else
        train_vae(stage, name);
      if (processes_.rank() == 0) write_file_atomically(folder_ / (name + ".done"), "");
      processes_.wait_for_all();
    }
  }

 private:
  const Model& model() const { return *configs_.model; }

  TrainerConfig trainer_config(const StageConfig& stage, const std::string& name) const {
    TrainerConfig trainer;
    trainer.stage = name;
    trainer.folder = folder_;
    trainer.schedule = stage.schedule;
    trainer.optimizer = stage.optimizer;
    trainer.workers = workers_;
    trainer.checkpoint_minutes = stage.checkpoint_minutes;
    trainer.evaluate_minutes = stage.evaluate_minutes;
    trainer.log_steps = stage.log_steps;
    trainer.spike_factor = stage.spike_factor;
    trainer.fingerprint = Json{{"stage", stage.text},
                               {"seed", setup_.config.seed},
                               {"source", source_->fingerprint()}}
                              .dump();
    trainer.resume = request_.resume;
    return trainer;
  }

  // Keeps the best averaged weights of a stage beside the newest.
  void keep_best(const std::string& name, double score, const ParameterSet& average) {
    const auto path = folder_ / (name + "-best.safetensors");
    double best = -1e300;
    if (!is_absent(path)) {
      const auto metadata = SafetensorsFile::open(path)->metadata();
      if (const auto found = metadata.find("score"); found != metadata.end())
        best = std::strtod(found->second.c_str(), nullptr);
    }
    if (score < best) return;
    save_safetensors(path, average.tensors(), {{"score", std::to_string(score)}});
  }

  void train_vae(const StageConfig& stage, const std::string& name) {
    auto all = load_parameters(model(), "vae", vae_shapes(model()));
    all.move_to(device_);
    ParameterSet frozen, trained;
    for (const auto& parameter : all.list()) {
      ParameterSet& set = stage.vae.decoder_only && !belongs_to_decoder(parameter.name) ? frozen : trained;
      set.add(parameter);
    }
    int64_t longest = 1;
    for (const auto& kind : stage.vae.kinds) longest = std::max(longest, kind.frames);
    auto task_config = stage.vae;
    if (task_config.evaluation_frames == 0)
      task_config.evaluation_frames = evaluation_frames(setup_, longest);
    if (!device_.is_cpu()) task_config.drawing_threads = std::max(1U, std::thread::hardware_concurrency());
    VaeTask task(configs_.model, task_config, frozen, source_);
    trained.compute_in(stage.precision);
    const auto whole = [&](const ParameterSet& part) {
      ParameterSet set = frozen;
      set.add("", part);
      return set;
    };
    TrainerHooks hooks;
    hooks.evaluated = [&](const Metrics& metrics, const ParameterSet& average, int64_t) {
      write_vae(whole(average));
      keep_best(name, metrics.at("psnr"), average);
      write_training_report(folder_);
    };
    const auto average = train(task, trained, trainer_config(stage, name), processes_, hooks, observer_);
    if (processes_.rank() != 0) return;
    write_vae(whole(average));
    if (!stage.vae.decoder_only) {
      auto weights = whole(average).weights();
      write_latent_statistics(model_folder_,
                              measure_latents(*model().make_vae(weights.root()), device_, *source_,
                                              setup_.config.seed, 64, task_config.evaluation_frames));
    }
  }

  void train_reader(const StageConfig& stage, const std::string& name) {
    auto task_config = stage.reader;
    task_config.sizes = setup_.config.sizes;
    if (!device_.is_cpu()) task_config.drawing_threads = std::max(1U, std::thread::hardware_concurrency());
    const auto wanted = reader_shapes(task_config.network);
    const auto folder = folder_ / "reader";
    auto parameters = is_absent(folder / "model.safetensors")
                          ? ParameterSet::initialise(wanted, setup_.config.seed)
                          : ParameterSet::load(wanted, folder, "model");
    parameters.move_to(device_);
    parameters.compute_in(stage.precision);
    ReaderTask task(task_config);
    const auto write = [&](const ParameterSet& average) {
      make_folder(folder);
      write_file_atomically(folder / "config.json", book_reader_to_json(task_config.network).dump(2) + "\n");
      save_safetensors(folder / "model.safetensors", average.tensors(), {{"format", "pt"}});
    };
    TrainerHooks hooks;
    hooks.evaluated = [&](const Metrics& metrics, const ParameterSet& average, int64_t) {
      write(average);
      keep_best(name, metrics.at("all"), average);
      write_training_report(folder_);
    };
    const auto average = train(task, parameters, trainer_config(stage, name), processes_, hooks, observer_);
    if (processes_.rank() == 0) write(average);
  }

  void train_denoiser(const StageConfig& stage, const std::string& name) {
    // With the statistics that a stage before has measured.
    configs_ = read_model_configs(open_model_folder(model_folder_));
    const auto vae = load_vae(model(), {device_});
    const auto tokenizer = model().load_tokenizer();
    const auto max_tokens = *model().defaults().max_text_tokens;
    ParameterSet parameters;
    parameters.add("transformer.", load_parameters(model(), "transformer", denoiser_shapes(model())));
    parameters.add("text_encoder.", load_parameters(model(), "text_encoder", text_encoder_shapes(model())));

    if (stage.denoiser.helper_weight > 0)
      parameters.add("helper.",
                     ParameterSet::zeros(scene_helper_parameters(model().width(), model().text_width())));

    parameters.move_to(device_);
    parameters.compute_in(stage.precision);

    LatentCacheConfig cache_config;
    cache_config.folder = folder_ / "latents";
    make_folder(cache_config.folder);
    cache_config.seed = setup_.config.seed;
    cache_config.frames = stage.cached_frames;
    cache_config.max_text_tokens = max_tokens;
    cache_config.device = device_;
    if (!device_.is_cpu()) cache_config.drawing_threads = std::max(1U, std::thread::hardware_concurrency());
    cache_config.fingerprint = Json{
        {"vae", component_hash(model().folder(), "vae")},
        {"frames", stage.cached_frames},
        {"max_text_tokens", max_tokens},
        {"source", source_->fingerprint()},
        {"labels", kSceneLabels},
        {"seed",
         setup_.config.seed}}.dump();
    const auto cache = std::make_shared<LatentCache>(cache_config, *vae, *tokenizer, source_, processes_);

    auto task_config = stage.denoiser;
    task_config.objective.scheduler = configs_.scheduler;
    task_config.max_text_tokens = max_tokens;
    task_config.empty_caption = tokenizer->encode("", static_cast<std::size_t>(max_tokens)).ids;
    task_config.recompute = stage.gradient_checkpointing;
    task_config.device = device_;
    std::vector<CachedClip> held_out;
    if (processes_.rank() == 0) held_out = held_out_clips(*vae, *tokenizer, stage, max_tokens);
    DenoiserTask task(configs_.model, task_config, cache, std::move(held_out));

    TrainerHooks hooks;
    hooks.evaluated = [&](const Metrics& metrics, const ParameterSet& average, int64_t step) {
      write_denoiser(average, stage.denoiser);
      double score = -metrics.at("held_out_loss");
      if (judges(setup_, stage)) score = judge(stage, name, step);
      keep_best(name, score, average);
      write_training_report(folder_);
    };
    const auto average = train(task, parameters, trainer_config(stage, name), processes_, hooks, observer_);
    if (processes_.rank() == 0) write_denoiser(average, stage.denoiser);
  }

  void write_vae(const ParameterSet& average) {
    write_component(model_folder_, "vae", average, setup_.config.weights_dtype);
  }

  void write_denoiser(const ParameterSet& average, const DenoiserTaskConfig& task) {
    const auto dtype = setup_.config.weights_dtype;
    write_component(model_folder_, "transformer", average.part("transformer."), dtype);
    write_component(model_folder_, "text_encoder", average.part("text_encoder."), dtype);
    write_per_frame_timesteps(model_folder_, trains_levels_per_frame(task));
  }

  std::vector<CachedClip> held_out_clips(const VideoVae& vae, const Tokenizer& tokenizer,
                                         const StageConfig& stage, int64_t max_tokens) const {
    const at::NoGradGuard no_grad;
    const int64_t frames = evaluation_frames(setup_, stage.cached_frames);
    std::vector<CachedClip> clips;
    for (int64_t i = 0; i < stage.denoiser.evaluation_clips; ++i) {
      const auto clip = source_->held_out_clip(setup_.config.seed, static_cast<uint64_t>(i),
                                               static_cast<std::size_t>(i) % source_->sizes().size(), frames);
      clips.push_back({vae.normalise(vae.encode(clip.frames.to(device_)).mean).to(at::kCPU, at::kHalf),
                       tokenizer.encode(clean_prompt(clip.caption), static_cast<std::size_t>(max_tokens)).ids,
                       {},
                       {}});
    }
    return clips;
  }

  // The share of held-out prompts with all four attributes right, the same prompts each time; the clips stay
  // in a folder of the step's name for the report.
  double judge(const StageConfig& stage, const std::string& name, int64_t step) {
    auto options = judging_of(setup_, stage);
    options.request.model = model_folder_.string();
    options.request.device = device_.str();
    if (device_.is_cpu()) options.request.threads = workers_;
    options.out = folder_ / "samples" / sample_folder_name(name, step);
    make_folder(options.out);
    const auto report = judge_model(options, observer_).front();
    const Json line = {{"stage", name},
                       {"event", "adherence"},
                       {"clips", report.clips.size()},
                       {"background", report.share(report.background)},
                       {"colour", report.share(report.colour)},
                       {"shape", report.share(report.shape)},
                       {"motion", report.share(report.motion)},
                       {"all_four", report.share(report.all_four)}};
    append_metrics(folder_, line);
    observer_.note(name + ": adherence " + line.dump());
    return report.share(report.all_four);
  }

  const TrainingRequest& request_;
  const Processes& processes_;
  Observer& observer_;
  at::Device device_;
  fs::path folder_, model_folder_;
  RunSetup setup_;
  ModelConfigs configs_;  // of the run's model
  std::shared_ptr<ClipSource> source_;
  int64_t workers_ = 1;
};

}  // namespace

fs::path run_training(const TrainingRequest& request, Observer& observer) {
  auto config = parse_training_config(read_json(request.config, ErrorKind::usage), request.config);
  if (!request.models.empty()) {
    config.architecture = request.models.front();
    config.weights = request.models;
    config.component_weights.clear();
  }
  if (request.data) config.data = *request.data;
  const bool changes = config.weights.size() > 1 ||
                       (!config.weights.empty() && config.weights_dtype != at::kFloat);
  if (config.stages.empty() && !changes)
    throw Error(ErrorKind::usage,
                request.config +
                    ": 'stages' should have at least one stage; without any, pass --model twice or more: " +
                    "the run's model is then the mean of theirs");
  if (config.architecture.empty())
    throw Error(ErrorKind::usage,
                request.config + ": 'architecture' should name a model folder, or pass --model");
  if (request.minutes && !(*request.minutes > 0))
    throw Error(ErrorKind::usage, "--minutes should be above 0");
  if (request.threads && (*request.threads < 1 || *request.threads > 1024))
    throw Error(ErrorKind::usage, "--threads should be between 1 and 1024");
  check_name_length(request.out / "model/transformer/diffusion_pytorch_model.safetensors");
  const auto processes = Processes::from_environment();
  if (!request.resume && processes.rank() == 0 && !is_absent(request.out / "model"))
    throw Error(ErrorKind::usage,
                request.out.string() +
                    ": holds a training run already; pass --resume to go on with it, or another --out");
  make_folder(request.out);
  check_writable_folder(request.out);
  at::set_num_threads(1);
  TrainingRun(std::move(config), request, processes, observer).run();
  return request.out / "model";
}

}  // namespace t2v
