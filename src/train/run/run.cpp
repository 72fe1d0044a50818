#include "train/run/run.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <thread>

#include "base/atomic_file.h"
#include "base/utf8.h"
#include "pipeline/components.h"
#include "pipeline/plan/settings.h"
#include "schedulers/scheduler.h"
#include "t2v/error.h"
#include "text/prompt.h"
#include "train/data/scene_helper.h"
#include "train/loop/initial_weights.h"
#include "train/run/files.h"
#include "train/run/model_writer.h"
#include "train/run/report.h"
#include "train/run/tokenizer_trainer.h"
#include "weights/safetensors.h"
#include "world/adherence.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t most_words = 1000;  // where a list still says something
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
      : config_(std::move(config)),
        request_(request),
        processes_(processes),
        observer_(observer),
        device_(training_device(request.device, processes)),
        folder_(request.out),
        model_folder_(request.out / "model") {
    const auto architecture = open_model_folder(find_model(config_.architecture));
    change_configs(architecture);
    if (!config_.sizes.empty()) config_.defaults["sizes"] = config_.sizes;
    merge_defaults(architecture);
    open(architecture);
    config_.sizes = defaults_.sizes;
    if (config_.sizes.empty())
      throw Error(ErrorKind::usage, request.config + ": 'sizes' should list the trained sizes; " +
                                        config_.architecture + " has none in its t2v.json");
    check_sizes();
    check_stages();
    source_ = config_.data ? make_folder_source(*config_.data, config_.sizes, settings_.fps.value_or(16),
                                                model().vae().temporal_ratio, observer_)
              : config_.world_number == 2 ? make_book_source(config_.sizes, config_.book)
                                          : make_world_source(config_.sizes, config_.world);
    if (processes_.rank() == 0 && is_absent(model_folder_ / "model_index.json")) begin(architecture.root);
    processes_.wait_for_all();
    const auto begun = open_model_folder(model_folder_);
    configs_ = read_model_configs(begun);
    check_begun_with("transformer", config_.transformer, begun.config("transformer"));
    check_begun_with("text_encoder", config_.text_encoder, begun.config("text_encoder"));
    check_begun_with("vae", config_.vae, begun.config("vae"));
    if (config_.tokenizer && config_.tokenizer->vocab_size)
      check_begun_with("tokenizer", {{"vocab_size", *config_.tokenizer->vocab_size}},
                       begun.config("text_encoder"));
    // A card runs one lane at a time, so that it holds the activations of one.
    workers_ = device_.is_cpu() ? request.threads.value_or(std::max(1U, std::thread::hardware_concurrency()))
                                : 1;
  }

  void run() {
    double planned = 0;
    for (const auto& stage : config_.stages) planned += stage.schedule.minutes.value_or(0);
    for (std::size_t i = 0; i < config_.stages.size(); ++i) {
      auto stage = config_.stages[i];
      if (request_.minutes) {
        // Beside stages with minutes, those with steps alone stay as they are.
        if (planned == 0)
          stage.schedule.minutes = *request_.minutes / static_cast<double>(config_.stages.size());
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
  // What the run's model will have in its t2v.json: the architecture's, with the config's changes.
  void merge_defaults(const ModelFolder& architecture) try {
    const auto where = request_.config + ", defaults";
    default_settings(parse_defaults(config_.defaults, where), where);
    if (config_.defaults.contains(per_frame_timesteps))
      throw Error(ErrorKind::usage,
                  where + ": '" + per_frame_timesteps + "' is what training writes; leave it out");
    const auto path = architecture.root / "t2v.json";
    if (!is_absent(path)) defaults_json_ = read_json(path);
    defaults_json_.update(config_.defaults);
    defaults_ = parse_defaults(defaults_json_, where);
    settings_ = default_settings(defaults_, where);
  } catch (const Error& error) {
    throw Error(ErrorKind::usage, error.what());
  }

  // The networks of the run's model: the architecture's, with the config's changes.
  void change_configs(const ModelFolder& architecture) try {
    const auto changed = [&](const std::string& component, const Json& changes) {
      auto config = architecture.config(component);
      std::vector<std::string> known;
      for (const auto& [key, value] : config.items()) known.push_back(key);
      for (const auto& [key, value] : changes.items()) {
        const auto near = nearest_name(key, known);
        if (!config.contains(key))
          throw Error(ErrorKind::usage, request_.config + ", " + component + ": unknown key '" + key + "'" +
                                            (near ? "; did you mean '" + *near + "'?" : ""));
        config[key] = value;
      }
      return config;
    };
    transformer_json_ = changed("transformer", config_.transformer);
    text_encoder_json_ = changed("text_encoder", config_.text_encoder);
    vae_json_ = changed("vae", config_.vae);
  } catch (const Error& error) {
    throw Error(ErrorKind::usage, error.what());
  }

  // The architecture with the config's changes.
  void open(ModelFolder architecture) try {
    architecture.given_configs["transformer"] = {transformer_json_, request_.config + ", transformer"};
    architecture.given_configs["text_encoder"] = {text_encoder_json_, request_.config + ", text_encoder"};
    architecture.given_configs["vae"] = {vae_json_, request_.config + ", vae"};
    architecture.defaults = defaults_;
    configs_ = read_model_configs(architecture);
    if (model().picture_inputs() || model().boundary_timestep())
      throw Error(ErrorKind::usage, request_.config + ": 'architecture' is " + config_.architecture +
                                        "; models that read pictures or have two experts are not trained");
  } catch (const Error& error) {
    throw Error(ErrorKind::usage, error.what());
  }

  const Model& model() const { return *configs_.model; }

  // What the run's model was made of stays as it is when the run goes on.
  void check_begun_with(const std::string& component, const Json& changes, const Json& begun) const {
    for (const auto& [key, value] : changes.items())
      if (begun.at(key) != value)
        throw Error(ErrorKind::usage, request_.config + ": '" + key + "' of the " + component + " is " +
                                          value.dump() + ", the run in " + request_.out.string() +
                                          " began with " + begun.at(key).dump() +
                                          "; train into another folder");
  }

  void check_sizes() const {
    const auto multiple = size_multiple(model());
    auto smallest = config_.sizes.front();
    for (const auto& [width, height] : config_.sizes) {
      if (width < multiple || height < multiple || width % multiple != 0 || height % multiple != 0)
        throw Error(ErrorKind::usage, request_.config + ": size " + std::to_string(width) + "x" +
                                          std::to_string(height) + " should be multiples of " +
                                          std::to_string(multiple));
      smallest = {std::min(smallest[0], width), std::min(smallest[1], height)};
    }
    for (const auto& stage : config_.stages) {
      if (stage.kind == StageKind::reader) check_reader();
      if (!trains_vae(stage)) continue;
      for (const auto& kind : stage.vae.kinds) check_kind(kind, smallest);
      if (stage.vae.evaluation_frames > 0) check_frames(stage.vae.evaluation_frames, "'evaluation_frames'");
    }
  }

  static bool trains_vae(const StageConfig& stage) {
    return stage.kind == StageKind::vae || stage.kind == StageKind::vae_decoder;
  }

  void check_reader() const {
    if (config_.data || config_.world_number != 2)
      throw Error(
          ErrorKind::usage,
          request_.config + ": a reader's stage needs 'world' 2 and no 'data': it reads its renderings");
    for (const auto& [width, height] : config_.sizes)
      if (width % kReaderCell != 0 || height % kReaderCell != 0)
        throw Error(ErrorKind::usage, request_.config + ": a reader's 'sizes' should be multiples of " +
                                          std::to_string(kReaderCell));
  }

  void check_frames(int64_t frames, const char* key) const {
    const int64_t ratio = model().vae().temporal_ratio;
    if ((frames - 1) % ratio != 0)
      throw Error(ErrorKind::usage, request_.config + ": " + key + " should be 1 + " + std::to_string(ratio) +
                                        "·k frames, found " + std::to_string(frames));
  }

  // How long held-out clips are in a stage that is trained on clips of up to `longest` frames: as the model's
  // own, where they are that long.
  int64_t evaluation_frames(int64_t longest) const {
    const int64_t ratio = model().vae().temporal_ratio;
    return (std::min(longest, settings_.frames.value_or(longest)) - 1) / ratio * ratio + 1;
  }

  void check_kind(const VaeClipKind& kind, const std::array<int64_t, 2>& smallest) const {
    check_frames(kind.frames, "'frames' of 'clips'");
    const auto ratio = model().vae().spatial_ratio;
    const auto size = std::to_string(kind.width) + "x" + std::to_string(kind.height);
    if (kind.crop && (kind.width > smallest[0] || kind.height > smallest[1] || kind.width % ratio != 0 ||
                      kind.height % ratio != 0))
      throw Error(ErrorKind::usage, request_.config + ": crops of " + size + " should be multiples of " +
                                        std::to_string(ratio) +
                                        " and fit into clips of every size, so at most " +
                                        std::to_string(smallest[0]) + "x" + std::to_string(smallest[1]));
    const std::array<int64_t, 2> whole = {kind.width, kind.height};
    if (!kind.crop && std::find(config_.sizes.begin(), config_.sizes.end(), whole) == config_.sizes.end())
      throw Error(ErrorKind::usage, request_.config + ": clips of " + size +
                                        " that are no crops should have a size listed in 'sizes'");
  }

  // What would otherwise end the run hours later.
  void check_stages() const {
    for (const auto& stage : config_.stages) {
      const bool denoiser = stage.kind == StageKind::denoiser;
      const auto lanes = denoiser            ? stage.denoiser.lanes
                         : trains_vae(stage) ? stage.vae.lanes
                                             : stage.reader.lanes;
      if (lanes < processes_.count())
        throw Error(ErrorKind::usage, request_.config + ": " + std::to_string(processes_.count()) +
                                          " processes share " + std::to_string(lanes) +
                                          " lanes; 'lanes' should be at least as many in every stage");
      if (!denoiser) continue;
      if (!draws_world_1() && stage.denoiser.helper_weight > 0)
        throw Error(ErrorKind::usage,
                    request_.config +
                        ": 'helper_weight' needs scenes of world 1; with 'data' or 'world' 2 "
                        "it should be 0");
      if (!config_.data && config_.world_number == 2 && stage.adherence_prompts > 0)
        throw Error(ErrorKind::usage, request_.config +
                                          ": 'adherence_prompts' judges clips of world 1; with 'world' 2 it "
                                          "should be 0");
      check_frames(stage.cached_frames, "'cached_frames'");
      for (const auto& length : stage.denoiser.lengths) check_frames(length.frames, "'frames' of 'lengths'");
      if (!config_.data && config_.book.cuts > 0)
        throw Error(ErrorKind::usage,
                    request_.config +
                        ": 'cuts_share' should be 0 with a denoiser's stage: clips are cut "
                        "from longer ones, whose captions would tell of shots that are gone");
      for (const auto& [width, height] : config_.sizes)
        for (const auto& length : stage.denoiser.lengths)
          check_fits_lane(width, height, length.frames, stage.denoiser.tokens_per_lane);
      if (judges(stage)) check_judging(stage);
    }
  }

  void check_fits_lane(int64_t width, int64_t height, int64_t frames, int64_t tokens_per_lane) const {
    const int64_t tokens = token_grid(model().vae().latent_shape(frames, width, height), model().patch_size())
                               .count();
    if (tokens > tokens_per_lane)
      throw Error(ErrorKind::usage, request_.config + ": " + std::to_string(frames) + " frames of " +
                                        std::to_string(width) + "x" + std::to_string(height) + " are " +
                                        std::to_string(tokens) + " tokens; 'tokens_per_lane' is " +
                                        std::to_string(tokens_per_lane) + " and should be at least as many");
  }

  bool draws_world_1() const { return !config_.data && config_.world_number == 1; }
  bool judges(const StageConfig& stage) const { return stage.adherence_prompts > 0 && draws_world_1(); }

  AdherenceOptions adherence_options(const StageConfig& stage) const {
    AdherenceOptions options;
    options.prompts = stage.adherence_prompts;
    options.sizes.clear();
    for (const auto& [width, height] : config_.sizes) options.sizes.push_back({width, height});
    options.request.model = model_folder_.string();
    options.request.device = device_.str();
    options.request.dtype = "float32";
    if (device_.is_cpu()) options.request.threads = workers_;
    return options;
  }

  void check_judging(const StageConfig& stage) const {
    const auto options = adherence_options(stage);
    check_adherence(options);
    make_scheduler(default_scheduler(configs_), configs_.scheduler, {.steps = *configs_.defaults.steps});
    if (settings_.fps.value_or(kWorldFps) != kWorldFps)
      throw Error(
          ErrorKind::usage,
          request_.config +
              ": 'adherence_prompts' judges clips of the procedural world, which have 8 frames per second; "
              "the model's fps is another");
  }

  // The run's model before its first step. What can be wrong with the captions shows before anything is
  // written.
  void begin(const fs::path& architecture) {
    std::vector<std::string> captions;
    if (config_.tokenizer || config_.data)
      for (const auto& caption : source_->training_captions(config_.seed))
        captions.push_back(clean_prompt(caption));
    std::optional<TrainedTokenizer> tokenizer;
    if (config_.tokenizer)
      tokenizer = train_tokenizer(captions, config_.tokenizer->vocab_size, request_.config + ", tokenizer");
    const auto partial = folder_ / "model.partial";  // renamed when it is complete
    std::error_code failed;
    fs::remove_all(partial, failed);
    copy_architecture(architecture, partial);
    write_config(partial, "transformer", transformer_json_);
    write_config(partial, "text_encoder", text_encoder_json_);
    write_config(partial, "vae", vae_json_);
    write_defaults(partial, defaults_json_);
    // Of a mean all models have it; a network that begins from nothing has it from its own training.
    write_per_frame_timesteps(
        partial,
        !config_.weights.empty() &&
            std::all_of(config_.weights.begin(), config_.weights.end(), [](const std::string& model) {
              return open_model_folder(find_model(model)).defaults.per_frame_timesteps;
            }));
    if (tokenizer) {
      use_tokenizer(partial, *tokenizer, captions);
    } else if (config_.data && !defaults_.words.empty()) {
      auto texts = defaults_.words;
      texts.insert(texts.end(), captions.begin(), captions.end());
      write_words(partial, words_of_captions(texts, most_words));
    }
    const auto write = [&](const std::string& name, const TensorShapes& wanted, uint64_t stream,
                           const auto& going_on) {
      std::vector<ParameterSet> sets;
      auto models = config_.weights;
      if (const auto named = config_.component_weights.find(name); named != config_.component_weights.end())
        models = {named->second};
      for (const auto& model : models)
        sets.push_back(going_on(*read_model_configs(open_model_folder(find_model(model))).model));
      write_component(
          partial, name,
          sets.empty() ? ParameterSet::initialise(wanted, config_.seed + stream) : ParameterSet::mean(sets));
    };
    write("vae", vae_shapes(model()), 1, [&](const Model& from) { return vae_from(model(), from); });
    write("transformer", denoiser_shapes(model()), 2,
          [&](const Model& from) { return denoiser_from(model(), from); });
    const auto wanted = text_encoder_shapes(model());
    write("text_encoder", wanted, 3, [&](const Model& from) {
      return tokenizer ? text_encoder_for(*tokenizer, from) : load_parameters(from, "text_encoder", wanted);
    });
    fs::rename(partial, model_folder_, failed);
    if (failed)
      throw Error(ErrorKind::output, model_folder_.string() + ": cannot be made (" + failed.message() + ")");
  }

  void use_tokenizer(const fs::path& folder, const TrainedTokenizer& trained,
                     const std::vector<std::string>& captions) {
    write_tokenizer(folder / "tokenizer", trained);
    write_vocab_size(folder, trained.vocab_size);
    write_words(folder, words_of_captions(captions, most_words));
    configs_ = read_model_configs(open_model_folder(folder));
    const auto tokenizer = model().load_tokenizer();
    const auto most = static_cast<std::size_t>(*model().defaults().max_text_tokens);
    std::size_t longest = 0, cut = 0;
    for (const auto& caption : captions) {
      const auto count = tokenizer->encode(caption, most).tokens_in_prompt;
      longest = std::max(longest, count);
      cut += count > most;
    }
    observer_.note(
        "tokenizer: " + std::to_string(trained.pieces) + " pieces from " + std::to_string(captions.size()) +
        " captions, the longest of which has " + std::to_string(longest) + " tokens" +
        (cut == 0 ? ""
                  : "; " + std::to_string(cut) + " are cut to max_text_tokens, " + std::to_string(most)));
  }

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
                               {"seed", config_.seed},
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
    if (task_config.evaluation_frames == 0) task_config.evaluation_frames = evaluation_frames(longest);
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
      write_component(model_folder_, "vae", whole(average));
      keep_best(name, metrics.at("psnr"), average);
      write_training_report(folder_);
    };
    const auto average = train(task, trained, trainer_config(stage, name), processes_, hooks, observer_);
    if (processes_.rank() != 0) return;
    write_component(model_folder_, "vae", whole(average));
    if (!stage.vae.decoder_only) {
      auto weights = whole(average).weights();
      write_latent_statistics(
          model_folder_, measure_latents(*model().make_vae(weights.root()), device_, *source_, config_.seed,
                                         64, task_config.evaluation_frames));
    }
  }

  void train_reader(const StageConfig& stage, const std::string& name) {
    auto task_config = stage.reader;
    task_config.sizes = config_.sizes;
    if (!device_.is_cpu()) task_config.drawing_threads = std::max(1U, std::thread::hardware_concurrency());
    const auto wanted = reader_shapes(task_config.network);
    const auto folder = folder_ / "reader";
    auto parameters = is_absent(folder / "model.safetensors") ? ParameterSet::initialise(wanted, config_.seed)
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
    cache_config.seed = config_.seed;
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
        {"seed", config_.seed}}.dump();
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
      if (judges(stage)) score = judge(stage, name, step);
      keep_best(name, score, average);
      write_training_report(folder_);
    };
    const auto average = train(task, parameters, trainer_config(stage, name), processes_, hooks, observer_);
    if (processes_.rank() == 0) write_denoiser(average, stage.denoiser);
  }

  void write_denoiser(const ParameterSet& average, const DenoiserTaskConfig& task) {
    write_component(model_folder_, "transformer", average.part("transformer."));
    write_component(model_folder_, "text_encoder", average.part("text_encoder."));
    write_per_frame_timesteps(model_folder_, trains_levels_per_frame(task));
  }

  std::vector<CachedClip> held_out_clips(const VideoVae& vae, const Tokenizer& tokenizer,
                                         const StageConfig& stage, int64_t max_tokens) const {
    const at::NoGradGuard no_grad;
    const int64_t frames = evaluation_frames(stage.cached_frames);
    std::vector<CachedClip> clips;
    for (int64_t i = 0; i < stage.denoiser.evaluation_clips; ++i) {
      const auto clip = source_->held_out_clip(config_.seed, static_cast<uint64_t>(i),
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
    auto options = adherence_options(stage);
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

  TrainingConfig config_;
  const TrainingRequest& request_;
  const Processes& processes_;
  Observer& observer_;
  at::Device device_;
  fs::path folder_, model_folder_;
  ModelConfigs configs_;
  Json transformer_json_, text_encoder_json_, vae_json_;  // of its networks
  Json defaults_json_ = Json::object();
  ModelDefaults defaults_;      // the same
  GenerationRequest settings_;  // and what of it generation takes
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
  if (config.stages.empty() && config.weights.size() < 2)
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
