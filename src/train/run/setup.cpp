#include "train/run/setup.h"

#include <algorithm>
#include <vector>

#include "base/atomic_file.h"
#include "base/utf8.h"
#include "pipeline/plan/settings.h"
#include "t2v/error.h"
#include "train/run/files.h"
#include "train/run/model_writer.h"

namespace t2v {

namespace {

// What the run's model will have in its t2v.json: the architecture's, with the config's changes.
void merge_defaults(RunSetup& setup, const ModelFolder& architecture) try {
  const auto where = setup.path + ", defaults";
  default_settings(parse_defaults(setup.config.defaults, where), where);
  if (setup.config.defaults.contains(per_frame_timesteps))
    throw Error(ErrorKind::usage,
                where + ": '" + per_frame_timesteps + "' is what training writes; leave it out");
  const auto path = architecture.root / "t2v.json";
  if (!is_absent(path)) setup.defaults_json = read_json(path);
  setup.defaults_json.update(setup.config.defaults);
  setup.defaults = parse_defaults(setup.defaults_json, where);
  setup.settings = default_settings(setup.defaults, where);
} catch (const Error& error) {
  throw Error(ErrorKind::usage, error.what());
}

// The networks of the run's model: the architecture's, with the config's changes.
void change_configs(RunSetup& setup, const ModelFolder& architecture) try {
  const auto changed = [&](const std::string& component, const Json& changes) {
    auto config = architecture.config(component);
    std::vector<std::string> known;
    for (const auto& [key, value] : config.items()) known.push_back(key);
    for (const auto& [key, value] : changes.items()) {
      const auto near = nearest_name(key, known);
      if (!config.contains(key))
        throw Error(ErrorKind::usage, setup.path + ", " + component + ": unknown key '" + key + "'" +
                                          (near ? "; did you mean '" + *near + "'?" : ""));
      config[key] = value;
    }
    return config;
  };
  setup.transformer = changed("transformer", setup.config.transformer);
  setup.text_encoder = changed("text_encoder", setup.config.text_encoder);
  setup.vae = changed("vae", setup.config.vae);
} catch (const Error& error) {
  throw Error(ErrorKind::usage, error.what());
}

// The architecture with the config's changes.
void open(RunSetup& setup, ModelFolder architecture) try {
  architecture.given_configs["transformer"] = {setup.transformer, setup.path + ", transformer"};
  architecture.given_configs["text_encoder"] = {setup.text_encoder, setup.path + ", text_encoder"};
  architecture.given_configs["vae"] = {setup.vae, setup.path + ", vae"};
  architecture.defaults = setup.defaults;
  setup.configs = read_model_configs(architecture);
  if (setup.model().picture_inputs() || setup.model().boundary_timestep())
    throw Error(ErrorKind::usage, setup.path + ": 'architecture' is " + setup.config.architecture +
                                      "; models that read pictures or have two experts are not trained");
} catch (const Error& error) {
  throw Error(ErrorKind::usage, error.what());
}

}  // namespace

RunSetup set_up_run(TrainingConfig config, const std::string& path) {
  RunSetup setup;
  setup.path = path;
  setup.config = std::move(config);
  const auto architecture = open_model_folder(find_model(setup.config.architecture));
  change_configs(setup, architecture);
  auto& sizes = setup.config.sizes;
  if (!sizes.empty()) setup.config.defaults["sizes"] = sizes;
  merge_defaults(setup, architecture);
  open(setup, architecture);
  sizes = setup.defaults.sizes;
  if (sizes.empty())
    throw Error(ErrorKind::usage, path + ": 'sizes' should list the trained sizes; " +
                                      setup.config.architecture + " has none in its t2v.json");
  return setup;
}

bool trains_vae(const StageConfig& stage) {
  return stage.kind == StageKind::vae || stage.kind == StageKind::vae_decoder;
}

int64_t evaluation_frames(const RunSetup& setup, int64_t longest) {
  const int64_t ratio = setup.model().vae().temporal_ratio;
  return (std::min(longest, setup.settings.frames.value_or(longest)) - 1) / ratio * ratio + 1;
}

bool judges(const RunSetup& setup, const StageConfig& stage) {
  return stage.adherence_prompts > 0 && !setup.config.data && setup.config.world_number == 1;
}

AdherenceOptions judging_of(const RunSetup& setup, const StageConfig& stage) {
  AdherenceOptions options;
  options.prompts = stage.adherence_prompts;
  options.sizes.clear();
  for (const auto& [width, height] : setup.config.sizes) options.sizes.push_back({width, height});
  options.request.dtype = "float32";
  return options;
}

}  // namespace t2v
