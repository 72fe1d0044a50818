#include "pipeline/components.h"

#include <ATen/ATen.h>

#include <cstdlib>
#include <filesystem>

#include "base/cuda_library.h"
#include "base/file_status.h"
#include "models/single_files.h"
#include "nn/ops.h"
#include "pipeline/plan/settings.h"
#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

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

ModelFolder open_planned_folder(const GenerationPlan& plan) {
  auto folder = plan.model_folder.empty() ? assemble_model({plan.weights.begin(), plan.weights.end()})
                                          : open_model_folder(plan.model_folder);
  for (const auto& [component, file] : plan.weights) folder.given_weights[component] = file;
  for (const auto& lora : plan.loras) folder.loras["transformer"].push_back(parse_lora(lora));
  for (const auto& lora : plan.loras_2) folder.loras["transformer_2"].push_back(parse_lora(lora));
  folder.weights_dtype = plan.weights_dtype;
  return folder;
}

std::string files_key(const GenerationPlan& plan) {
  auto key = plan.model_folder;
  for (const auto& [component, file] : plan.weights)
    key.append("\n").append(component).append("=").append(file);
  for (const auto& lora : plan.loras) key.append("\n").append(lora);
  for (const auto& lora : plan.loras_2) key.append("\nlora_2=").append(lora);
  if (plan.weights_dtype) key.append("\n").append(*plan.weights_dtype);
  return key;
}

GenerationRequest folder_settings(const ModelFolder& model) {
  return default_settings(model.defaults, (model.root / "t2v.json").string());
}

ModelConfigs read_model_configs(const ModelFolder& model) {
  ModelConfigs configs;
  configs.model = open_model(model);
  configs.scheduler = parse_scheduler_config(model.config("scheduler"), model.config_name("scheduler"));
  configs.scheduler.overwrites_samples = configs.model->overwrites_samples();
  configs.defaults = default_settings(configs.model->defaults(), (model.root / "t2v.json").string());
  return configs;
}

std::string default_scheduler(const ModelConfigs& configs) {
  return configs.defaults.scheduler.value_or(configs.scheduler.scheduler);
}

std::unique_ptr<Scheduler> planned_scheduler(const GenerationPlan& plan, const ModelConfigs& configs) {
  auto config = configs.scheduler;
  if (plan.flow_shift) config.flow_shift = *plan.flow_shift, config.use_dynamic_shifting = false;
  return make_scheduler(plan.scheduler, config,
                        {.steps = plan.steps,
                         .eta = plan.eta,
                         .timesteps = plan.settings.timesteps.value_or(std::vector<double>()),
                         .sigmas = plan.settings.sigmas.value_or(std::vector<double>()),
                         .sigma_schedule = plan.settings.sigma_schedule.value_or(""),
                         .tokens = plan.tokens,
                         .predicts_variance = configs.model->predicts_variance()});
}

int64_t size_multiple(const Model& model) { return model.vae().spatial_ratio * model.patch_size().h; }

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
          ". Pass -m with a diffusers folder or a tree of models, or set T2V_MODELS to a folder of models.");
}

at::Device parse_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  load_cuda_library();
  const bool cuda_is_there = at::hasCUDA() && at::getNumGPUs() > 0;
  if (name == "auto") return cuda_is_there ? parse_device("cuda") : at::Device(at::kCPU);
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
      throw Error(ErrorKind::usage, "--device " + name + ": no CUDA device that libtorch can use: " +
                                        why_no_cuda_device() + ". --device cpu works everywhere");
    if (index >= static_cast<int>(at::getNumGPUs()))
      throw Error(ErrorKind::usage, "--device " + name + ": there are only " +
                                        std::to_string(at::getNumGPUs()) + " CUDA devices");
    use_attention_order();
    return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
  }
  throw Error(ErrorKind::usage, "--device should be auto, cpu or cuda[:N], found '" + name + "'");
}

namespace {

at::ScalarType dtype_of(const std::string& name, const char* flag) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf})
    if (name == dtype_name(type)) return type;
  throw Error(ErrorKind::usage,
              std::string(flag) + " should be auto, float32, bfloat16 or float16, found '" + name + "'");
}

}  // namespace

at::ScalarType parse_dtype(const std::string& name, at::Device device) {
  if (name == "auto") return device.is_cuda() ? at::kBFloat16 : at::kFloat;
  return dtype_of(name, "--dtype");
}

at::ScalarType parse_vae_dtype(const std::string& name, at::Device device, at::ScalarType dtype) {
  if (name != "auto") return dtype_of(name, "--vae-dtype");
  return !device.is_cpu() && dtype == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

std::optional<bool> parse_tiling(const std::string& name) {
  if (name == "auto") return std::nullopt;
  if (name == "on" || name == "off") return name == "on";
  throw Error(ErrorKind::usage, "--vae-tiling should be auto, on or off, found '" + name + "'");
}

std::optional<std::string> parse_weights_dtype(const std::string& name) {
  if (name == "auto") return std::nullopt;
  std::string known = "auto";
  for (const auto& format : kept_formats()) {
    if (name == format) return name;
    known += ", " + format;
  }
  throw Error(ErrorKind::usage, "--weights-dtype should be one of " + known + ", found '" + name + "'");
}

std::string dtype_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32";
}

}  // namespace t2v
