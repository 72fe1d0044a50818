#include "train/run/config.h"

#include "base/utf8.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// An object whose keys are taken one by one; what is left over is refused.
class Keys {
 public:
  Keys(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object())
      throw Error(ErrorKind::usage,
                  where_ + ": should be an object, found " + std::string(object.type_name()));
  }

  template <class T>
  void take(const std::string& key, T& value) {
    known_.push_back(key);
    value = json_get_or<T>(object_, key, value, where_);
  }
  template <class T>
  void take_optional(const std::string& key, std::optional<T>& value) {
    known_.push_back(key);
    if (object_.contains(key)) value = json_get<T>(object_, key, where_);
  }
  // A number that has to lie in a range.
  template <class T>
  void take_optional(const std::string& key, std::optional<T>& value, double least, double most) {
    take_optional(key, value);
    if (value) check_range(key, static_cast<double>(*value), least, most);
  }
  template <class T>
  void take(const std::string& key, T& value, double least, double most) {
    take(key, value);
    check_range(key, static_cast<double>(value), least, most);
  }
  const Json* find(const std::string& key) {
    known_.push_back(key);
    return object_.contains(key) ? &object_.at(key) : nullptr;
  }
  std::string where(const std::string& key) const { return where_ + ", " + key; }

  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      const auto near = nearest_name(key, known_);
      throw Error(ErrorKind::usage,
                  where_ + ": unknown key '" + key + "'" + (near ? "; did you mean '" + *near + "'?" : ""));
    }
  }

 private:
  void check_range(const std::string& key, double found, double least, double most) const {
    if (found >= least && found <= most) return;
    char range[80];
    std::snprintf(range, sizeof range, "should be between %g and %g, found %g", least, most, found);
    throw Error(ErrorKind::usage, where_ + ": '" + key + "' " + range);
  }

  const Json& object_;
  std::string where_;
  std::vector<std::string> known_;
};

template <class T>
T one_of(const std::string& value, const std::vector<std::pair<const char*, T>>& choices,
         const std::string& where) {
  std::string names;
  for (const auto& [name, choice] : choices) {
    if (value == name) return choice;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  throw Error(ErrorKind::usage, where + ": should be one of " + names + "; found '" + value + "'");
}

void parse_schedule(Keys& keys, ScheduleConfig& schedule) {
  keys.take_optional("steps", schedule.steps, 1, 1e12);
  keys.take_optional("minutes", schedule.minutes, 1e-6, 1e9);
  keys.take("warmup_steps", schedule.warmup_steps, 0, 1e9);
  keys.take("decay_share", schedule.decay_share, 0, 1);
  keys.take("final_factor", schedule.final_factor, 0, 1);
  keys.take("cosine", schedule.cosine);
}

// {"spinning": 3, "star": 2, "small": 2}: how many times as often as without it.
void parse_emphasis(const Json& json, const std::string& where, WorldShares& world) {
  Keys keys(json, where);
  const auto take = [&](const std::vector<std::string>& names, std::vector<double>& weights) {
    weights.assign(names.size(), 1);
    for (std::size_t i = 0; i < names.size(); ++i)
      if (!names[i].empty()) keys.take(names[i], weights[i], 0.01, 100);
  };
  take(world_shapes(), world.shapes);
  take(world_motions(), world.motions);
  take(world_sizes(), world.sizes);
  // Scenes whose sizes are drawn alike stay those that they were before sizes could be emphasised.
  if (std::all_of(world.sizes.begin(), world.sizes.end(), [](double weight) { return weight == 1; }))
    world.sizes.clear();
  keys.finish();
}

// {"vae": "runs/d/model"}: whose weights a component begins from.
void parse_component_weights(const Json& json, const std::string& where,
                             std::map<std::string, std::string>& weights) {
  Keys keys(json, where);
  for (const char* component : {"transformer", "text_encoder", "vae"})
    if (keys.find(component) != nullptr) weights[component] = json_get<std::string>(json, component, where);
  keys.finish();
}

void parse_optimizer(const Json& json, const std::string& where, OptimizerConfig& optimizer) {
  Keys keys(json, where);
  keys.take("muon", optimizer.muon);
  keys.take("muon_learning_rate", optimizer.muon_learning_rate, 0, 10);
  keys.take("adam_learning_rate", optimizer.adam_learning_rate, 0, 10);
  keys.take("muon_momentum", optimizer.muon_momentum, 0, 0.9999);
  keys.take("adam_beta1", optimizer.adam_beta1, 0, 0.9999);
  keys.take("adam_beta2", optimizer.adam_beta2, 0, 0.99999);
  keys.take("weight_decay", optimizer.weight_decay, 0, 10);
  keys.take("clip_norm", optimizer.clip_norm, 0, 1e9);
  keys.take("ema_decay", optimizer.ema_decay, 0, 0.999999);
  keys.finish();
}

void parse_vae(Keys& keys, VaeTaskConfig& vae) {
  keys.take("lanes", vae.lanes, 1, 1024);
  keys.take("pixels_per_lane", vae.pixels_per_lane, 1, 1e9);
  keys.take("latent_noise", vae.latent_noise, 0, 10);
  keys.take("kl_weight", vae.kl_weight, 0, 1);
  keys.take("motion_weight", vae.motion_weight, 0, 1000);
  keys.take("charbonnier", vae.charbonnier, 0, 1);
  keys.take("evaluation_clips", vae.evaluation_clips, 1, 10000);
  keys.take("evaluation_frames", vae.evaluation_frames, 0, 257);
  if (const auto* kinds = keys.find("clips")) {
    if (!kinds->is_array() || kinds->empty())
      throw Error(ErrorKind::usage, keys.where("clips") + ": should be a list of kinds of clips");
    vae.kinds.clear();
    for (const auto& entry : *kinds) {
      VaeClipKind kind;
      Keys inner(entry, keys.where("clips"));
      inner.take("width", kind.width, 16, 4096);
      inner.take("height", kind.height, 16, 4096);
      inner.take("frames", kind.frames, 1, 257);
      inner.take("share", kind.share, 0, 1e6);
      inner.take("crop", kind.crop);
      inner.finish();
      vae.kinds.push_back(kind);
    }
    if (std::all_of(vae.kinds.begin(), vae.kinds.end(), [](const auto& kind) { return kind.share == 0; }))
      throw Error(ErrorKind::usage, keys.where("clips") + ": one 'share' at least should be above 0");
  }
}

void parse_reader(Keys& keys, ReaderTaskConfig& reader) {
  keys.take("lanes", reader.lanes, 1, 1024);
  keys.take("pixels_per_lane", reader.pixels_per_lane, 1, 1e9);
  keys.take("frames", reader.frames);
  for (const auto frames : reader.frames)
    if (frames < 1 || frames > 257)
      throw Error(ErrorKind::usage,
                  keys.where("frames") + ": should be between 1 and 257, found " + std::to_string(frames));
  if (reader.frames.empty())
    throw Error(ErrorKind::usage, keys.where("frames") + ": should name one length at least");
  keys.take("softened_share", reader.softened_share, 0, 1);
  keys.take("evaluation_clips", reader.evaluation_clips, 1, 10000);
  keys.take("width", reader.network.width, 8, 1024);
}

void parse_denoiser(Keys& keys, StageConfig& stage) {
  auto& task = stage.denoiser;
  auto& objective = task.objective;
  keys.take("lanes", task.lanes, 1, 1024);
  keys.take("tokens_per_lane", task.tokens_per_lane, 1, 1e9);
  keys.take("caption_dropout", task.caption_dropout, 0, 1);
  keys.take("first_shards", task.first_shards, 1, 1e6);
  keys.take("steps_per_shard", task.steps_per_shard, 0, 1e9);
  keys.take("most_shards", task.most_shards, 1, 1e6);
  keys.take("evaluation_clips", task.evaluation_clips, 1, 10000);
  keys.take("helper_weight", task.helper_weight, 0, 1000);
  keys.take("helper_share", task.helper_share, 0, 1);
  keys.take("cached_frames", stage.cached_frames, 1, 257);
  keys.take("gradient_checkpointing", stage.gradient_checkpointing);
  keys.take("adherence_prompts", stage.adherence_prompts, 0, 10000);
  std::string sampling = "logit_normal";
  keys.take("timestep_sampling", sampling);
  objective.sampling = one_of<TimestepSampling>(
      sampling, {{"uniform", TimestepSampling::uniform}, {"logit_normal", TimestepSampling::logit_normal}},
      keys.where("timestep_sampling"));
  keys.take("logit_mean", objective.logit_mean, -10, 10);
  keys.take("logit_deviation", objective.logit_deviation, 0.01, 10);
  keys.take("uniform_share", objective.uniform_share, 0, 1);
  keys.take("min_snr_gamma", objective.min_snr_gamma, 0, 1000);
  keys.take("first_clean_share", objective.first_clean_share, 0, 1);
  keys.take("first_clean_frames", objective.first_clean_frames, 1, 64);
  keys.take("first_noise", objective.first_noise, 0, 1);
  keys.take("independent_share", objective.independent_share, 0, 1);
  if (objective.first_clean_share + objective.independent_share > 1)
    throw Error(ErrorKind::usage,
                keys.where("first_clean_share") + ": with independent_share it should be at most 1");
  if (const auto* lengths = keys.find("lengths")) {
    if (!lengths->is_array() || lengths->empty())
      throw Error(ErrorKind::usage, keys.where("lengths") + ": should be a list");
    task.lengths.clear();
    for (const auto& entry : *lengths) {
      LengthShare length;
      Keys inner(entry, keys.where("lengths"));
      inner.take("frames", length.frames, 1, 257);
      inner.take("share", length.first, 0, 1e6);
      length.last = length.first;
      inner.take("last_share", length.last, 0, 1e6);
      inner.finish();
      task.lengths.push_back(length);
    }
    const auto none = [&](double LengthShare::*share) {
      return std::all_of(task.lengths.begin(), task.lengths.end(),
                         [&](const auto& length) { return length.*share == 0; });
    };
    if (none(&LengthShare::first) || none(&LengthShare::last))
      throw Error(ErrorKind::usage,
                  keys.where("lengths") + ": one 'share' and one 'last_share' at least should be above 0");
  }
  for (const auto& length : task.lengths)
    if (length.frames > stage.cached_frames)
      throw Error(ErrorKind::usage, keys.where("lengths") + ": clips of " + std::to_string(length.frames) +
                                        " frames are cut out of cached ones of " +
                                        std::to_string(stage.cached_frames) +
                                        "; 'cached_frames' should be as many");
}

StageConfig parse_stage(const Json& json, const std::string& where) {
  StageConfig stage;
  Keys keys(json, where);
  std::string kind;
  keys.take("train", kind);
  stage.kind = one_of<StageKind>(kind,
                                 {{"vae", StageKind::vae},
                                  {"vae_decoder", StageKind::vae_decoder},
                                  {"denoiser", StageKind::denoiser},
                                  {"reader", StageKind::reader}},
                                 where + ", train");
  parse_schedule(keys, stage.schedule);
  if (!stage.schedule.steps && !stage.schedule.minutes)
    throw Error(ErrorKind::usage, where + ": 'steps' or 'minutes' should say how long the stage is");
  if (const auto* optimizer = keys.find("optimizer"))
    parse_optimizer(*optimizer, where + ", optimizer", stage.optimizer);
  keys.take("checkpoint_minutes", stage.checkpoint_minutes, 0, 1e6);
  keys.take("evaluate_minutes", stage.evaluate_minutes, 0, 1e6);
  keys.take("spike_factor", stage.spike_factor, 1, 1e9);
  keys.take("log_steps", stage.log_steps, 1, 1e9);
  if (stage.kind == StageKind::denoiser)
    parse_denoiser(keys, stage);
  else if (stage.kind == StageKind::reader)
    parse_reader(keys, stage.reader);
  else
    parse_vae(keys, stage.vae);
  std::string precision = "float32";
  keys.take("precision", precision);
  std::vector<std::pair<const char*, RunDtypes>> precisions = {{"float32", {}},
                                                               {"bf16-mixed", {at::kFloat, at::kBFloat16}}};
  if (stage.kind == StageKind::denoiser) precisions.push_back({"bf16", {at::kBFloat16, at::kBFloat16}});
  stage.precision = one_of<RunDtypes>(precision, precisions, keys.where("precision"));
  stage.optimizer.muon_dtype = stage.precision.products;
  stage.vae.decoder_only = stage.kind == StageKind::vae_decoder;
  keys.finish();
  stage.text = json;
  for (const char* key :
       {"steps", "minutes", "checkpoint_minutes", "evaluate_minutes", "log_steps", "adherence_prompts",
        "evaluation_clips", "evaluation_frames", "gradient_checkpointing"})
    stage.text.erase(key);
  return stage;
}

}  // namespace

TrainingConfig parse_training_config(const Json& json, const std::string& where) try {
  TrainingConfig config;
  Keys keys(json, where);
  keys.take("architecture", config.architecture);
  for (const auto& [key, changes] :
       {std::pair("transformer", &config.transformer), std::pair("text_encoder", &config.text_encoder),
        std::pair("vae", &config.vae)}) {
    const auto* found = keys.find(key);
    if (found == nullptr) continue;
    if (!found->is_object())
      throw Error(ErrorKind::usage,
                  keys.where(key) + ": should be an object of settings as its config.json has them");
    *changes = *found;
  }
  if (const auto* weights = keys.find("weights"); weights != nullptr && weights->is_string())
    config.weights = {weights->get<std::string>()};
  else if (weights != nullptr && weights->is_object())
    parse_component_weights(*weights, keys.where("weights"), config.component_weights);
  else
    keys.take("weights", config.weights);
  keys.take("seed", config.seed);
  keys.take_optional("data", config.data);
  keys.take("world", config.world_number, 1, 2);
  keys.take("two_objects_share", config.world.two_objects, 0, 1);
  config.book.two_things = config.world.two_objects;
  keys.take("cuts_share", config.book.cuts, 0, 1);
  keys.take("things", config.book.drawings, 1, kBookDrawings);
  if (const auto* emphasis = keys.find("emphasis"))
    parse_emphasis(*emphasis, keys.where("emphasis"), config.world);
  if (config.world_number == 2 && json.contains("emphasis"))
    throw Error(ErrorKind::usage, keys.where("emphasis") + ": is of world 1; with 'world' 2 leave it out");
  if (config.world_number == 1 && config.book.cuts > 0)
    throw Error(ErrorKind::usage, keys.where("cuts_share") + ": is of world 2; with 'world' 1 leave it out");
  if (config.world_number == 1 && json.contains("things"))
    throw Error(ErrorKind::usage, keys.where("things") + ": is of world 2; with 'world' 1 leave it out");
  if (const auto* tokenizer = keys.find("tokenizer")) {
    Keys inner(*tokenizer, keys.where("tokenizer"));
    auto& size = config.tokenizer.emplace().vocab_size;
    inner.take_optional("vocab_size", size, 4, 1e6);
    inner.finish();
  }
  keys.take("sizes", config.sizes);
  if (const auto* defaults = keys.find("defaults")) config.defaults = *defaults;
  if (!config.defaults.is_object())
    throw Error(ErrorKind::usage,
                where + ": 'defaults' should be an object of settings as t2v.json has them");
  std::string dtype = "float32";
  keys.take("weights_dtype", dtype);
  config.weights_dtype = one_of<at::ScalarType>(dtype, {{"float32", at::kFloat}, {"float16", at::kHalf}},
                                                keys.where("weights_dtype"));
  const auto* stages = keys.find("stages");
  if (stages == nullptr || !stages->is_array())
    throw Error(ErrorKind::usage, where + ": 'stages' should be a list of stages");
  for (const auto& stage : *stages)
    config.stages.push_back(
        parse_stage(stage, where + ", stage " + std::to_string(config.stages.size() + 1)));
  keys.finish();
  if (config.architecture.empty() && !config.weights.empty()) config.architecture = config.weights.front();
  for (auto& stage : config.stages) {
    stage.vae.seed = stage.denoiser.seed = stage.reader.seed = config.seed;
    stage.reader.two_things = config.book.two_things;
  }
  return config;
} catch (const Error& error) {
  // What is wrong in a file that the user wrote for this run is a matter of usage, whichever check found it.
  throw Error(ErrorKind::usage, error.what());
}

}  // namespace t2v
