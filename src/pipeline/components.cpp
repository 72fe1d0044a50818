#include "pipeline/components.h"

#include <ATen/ATen.h>

#include <cstdlib>
#include <filesystem>

#include "base/file_status.h"
#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

Weights open_weights(const ModelFolder& model, const std::string& component, at::Device device,
                     at::ScalarType dtype) {
  return Weights::open(model.component(component), weights_stem(component), device, dtype);
}

std::vector<fs::path> model_places() {
  std::vector<fs::path> places;
  if (const char* named = std::getenv("T2V_MODELS"); named != nullptr && *named != '\0')
    places.emplace_back(named);
  std::error_code failed;
  const auto program = fs::read_symlink("/proc/self/exe", failed);
  if (!failed) {
    places.push_back(program.parent_path().parent_path() / "share" / "t2v" / "models");
    // A program in a build folder below the source tree finds the models of that tree.
    for (auto folder = program.parent_path(); folder.has_relative_path(); folder = folder.parent_path())
      if (fs::exists(folder / "models" / kDefaultModel / "model_index.json", failed))
        places.push_back(folder / "models");
  }
  return places;
}

}  // namespace

ModelConfigs read_model_configs(const ModelFolder& model) {
  const auto index = (model.root / "model_index.json").string();
  if (model.pipeline_class != "WanPipeline")
    throw Error(ErrorKind::bad_input,
                index + ": _class_name '" + model.pipeline_class +
                    "' is not supported; this version runs 'WanPipeline' (Wan 2.1 text to video)");
  for (const char* key : {"boundary_ratio", "expand_timesteps"})
    if (model.index.contains(key) && !model.index.at(key).is_null() && model.index.at(key) != false)
      throw Error(
          ErrorKind::bad_input,
          index + ": '" + key + "' is set: this is a Wan 2.2 model; this version runs Wan 2.1 text to video");
  const auto where = [&](const char* component, const char* file = "config.json") {
    return (model.component(component) / file).string();
  };
  ModelConfigs configs;
  configs.text_encoder = parse_umt5_config(model.config("text_encoder"), where("text_encoder"));
  configs.transformer = parse_wan_transformer_config(model.config("transformer"), where("transformer"));
  configs.vae = parse_wan_vae_config(model.config("vae"), where("vae"));
  const auto scheduler = model.config("scheduler");
  const auto scheduler_where = where("scheduler", "scheduler_config.json");
  configs.scheduler = parse_scheduler_config(scheduler, scheduler_where);
  configs.scheduler_kind = scheduler_kind_of_class(
      json_get<std::string>(scheduler, "_class_name", scheduler_where), scheduler_where);
  if (configs.transformer.text_dim != configs.text_encoder.d_model)
    throw Error(ErrorKind::bad_input, where("transformer") + ": text_dim " +
                                          std::to_string(configs.transformer.text_dim) +
                                          " contradicts the text encoder's d_model " +
                                          std::to_string(configs.text_encoder.d_model));
  if (configs.transformer.in_channels != configs.vae.z_dim)
    throw Error(ErrorKind::bad_input,
                where("transformer") + ": in_channels " + std::to_string(configs.transformer.in_channels) +
                    " contradicts the autoencoder's z_dim " + std::to_string(configs.vae.z_dim));
  if (configs.transformer.patch_size.t != 1)
    throw Error(ErrorKind::bad_input, where("transformer") + ": a patch of " +
                                          std::to_string(configs.transformer.patch_size.t) +
                                          " latent frames is not supported; Wan has 1");
  if (configs.transformer.patch_size.h != configs.transformer.patch_size.w)
    throw Error(ErrorKind::bad_input, where("transformer") + ": patch_size should be as high as it is wide");
  return configs;
}

std::string default_scheduler(const ModelDefaults& defaults, const ModelConfigs& configs) {
  return defaults.scheduler.value_or(scheduler_name(configs.scheduler_kind));
}

int64_t size_multiple(const ModelConfigs& configs) {
  return configs.vae.spatial_ratio() * configs.transformer.patch_size.h;
}

Umt5Encoder load_text_encoder(const ModelFolder& model, const ModelConfigs& configs, at::Device device,
                              at::ScalarType dtype) {
  auto weights = open_weights(model, "text_encoder", device, dtype);
  Umt5Encoder encoder(configs.text_encoder, weights.root());
  weights.finish();
  return encoder;
}

WanTransformer load_transformer(const ModelFolder& model, const ModelConfigs& configs, at::Device device,
                                at::ScalarType dtype) {
  auto weights = open_weights(model, "transformer", device, dtype);
  WanTransformer network(configs.transformer, weights.root(), device);
  weights.finish();
  return network;
}

WanVae load_vae(const ModelFolder& model, const ModelConfigs& configs, at::Device device) {
  auto weights = open_weights(model, "vae", device, at::kFloat);
  WanVae network(configs.vae, weights.root());
  weights.finish();
  return network;
}

std::unique_ptr<Tokenizer> load_tokenizer(const ModelFolder& model, const ModelConfigs& configs) {
  auto tokenizer = load_t5_tokenizer(model.component("tokenizer"));
  if (tokenizer->vocabulary_size() > configs.text_encoder.vocab_size)
    throw Error(ErrorKind::bad_input, model.component("tokenizer").string() + ": makes " +
                                          std::to_string(tokenizer->vocabulary_size()) +
                                          " different tokens, the text encoder knows " +
                                          std::to_string(configs.text_encoder.vocab_size) + " (vocab_size)");
  return tokenizer;
}

ComponentSizes component_sizes(const ModelFolder& model) {
  const auto count = [&](const char* component) {
    return open_weights(model, component, at::kCPU, at::kFloat).element_count();
  };
  return {count("text_encoder"), count("transformer"), count("vae")};
}

std::string find_model(const std::string& name_or_folder,
                       const std::function<void(const std::string&)>& note) {
  const bool is_name = !name_or_folder.empty() && name_or_folder.find('/') == std::string::npos &&
                       name_or_folder != "." && name_or_folder != "..";
  std::error_code failed;  // a working directory that may not be entered hides no model
  const bool is_here = is_name ? fs::is_directory(name_or_folder, failed) : is_folder(name_or_folder);
  if (is_here && (!is_name || is_there(fs::path(name_or_folder) / "model_index.json"))) return name_or_folder;
  std::string searched;
  if (is_name) {
    for (const auto& place : model_places()) {
      const auto model = place / name_or_folder;
      if (is_folder(model)) {
        if (is_here)
          note("the model '" + name_or_folder + "' is " + model.string() + ": the folder " + name_or_folder +
               " in the working directory has no model_index.json");
        return model.string();
      }
      searched += (searched.empty() ? "" : ", ") + place.string();
    }
  }
  if (is_here) return name_or_folder;
  throw Error(
      ErrorKind::bad_input,
      "no model '" + name_or_folder + "': it is no folder" +
          (is_name ? ", and no model of that name is in " + (searched.empty() ? "any known place" : searched)
                   : "") +
          ". Pass -m with a diffusers folder, or set T2V_MODELS to a folder of models.");
}

at::Device parse_device(const std::string& name) {
  const bool cuda_is_there = at::hasCUDA() && at::getNumGPUs() > 0;
  if (name == "cpu") return at::kCPU;
  if (name == "auto") return cuda_is_there ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  if (name == "cuda" || name.starts_with("cuda:")) {
    int index = 0;
    if (name.size() > 5) {
      const bool digits = name.size() <= 8 && name.find_first_not_of("0123456789", 5) == std::string::npos;
      if (!digits) throw Error(ErrorKind::usage, "--device '" + name + "' should be cuda or cuda:N");
      index = std::stoi(name.substr(5));
    } else if (name.size() == 5) {
      throw Error(ErrorKind::usage, "--device '" + name + "' should be cuda or cuda:N");
    }
    if (!cuda_is_there)
      throw Error(
          ErrorKind::usage,
          "--device " + name +
              ": this machine has no CUDA device that libtorch can use; --device cpu works everywhere");
    if (index >= static_cast<int>(at::getNumGPUs()))
      throw Error(ErrorKind::usage, "--device " + name + ": there are only " +
                                        std::to_string(at::getNumGPUs()) + " CUDA devices");
    return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
  }
  throw Error(ErrorKind::usage, "--device should be auto, cpu or cuda[:N], found '" + name + "'");
}

at::ScalarType parse_dtype(const std::string& name, at::Device device) {
  if (name == "auto") return device.is_cuda() ? at::kBFloat16 : at::kFloat;
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf})
    if (name == dtype_name(type)) return type;
  throw Error(ErrorKind::usage, "--dtype should be auto, float32, bfloat16 or float16, found '" + name + "'");
}

std::string dtype_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32";
}

}  // namespace t2v
