// A model folder as the pipeline runs it, and the names of models, devices and dtypes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "models/model.h"
#include "schedulers/scheduler.h"
#include "t2v/request.h"

namespace t2v {

// The model that is used where none is named.
constexpr const char* kDefaultModel = "world-128";

struct ModelConfigs {
  std::shared_ptr<const Model> model;
  SchedulerConfig scheduler;
  GenerationRequest defaults;  // what its t2v.json and its family say
};

// The folder of a plan, with the files that it puts in place of the folder's own; without a folder, what they
// make together. Throws Error{usage, bad_input}.
ModelFolder open_planned_folder(const GenerationPlan& plan);
// Alike for plans of the same folder and files.
std::string files_key(const GenerationPlan& plan);

// What a folder's t2v.json says, without its family. Throws Error{bad_input}.
GenerationRequest folder_settings(const ModelFolder& model);

// Throws Error{bad_input} when a config is bad, contradicts another one, or asks for what t2v does not have.
ModelConfigs read_model_configs(const ModelFolder& model);

// The scheduler that a model is sampled with when nobody names one: t2v.json's, else that of the folder.
std::string default_scheduler(const ModelConfigs& configs);

// The scheduler of a plan's clips.
std::unique_ptr<Scheduler> planned_scheduler(const GenerationPlan& plan, const ModelConfigs& configs);

// Sizes in pixels are multiples of this.
int64_t size_multiple(const Model& model);

// A folder as given, or the name of a model in T2V_MODELS, beside the installed program, or in the source
// tree the program was built in. A model in the working directory goes before one of the same name elsewhere;
// a folder there that is no model does not, and `note` hears of it. Throws Error{bad_input} naming the places
// that were searched, or one that cannot be read.
std::string find_model(
    const std::string& name_or_folder,
    const std::function<void(const std::string&)>& note = [](const std::string&) {});

// "auto" → CUDA when there is a device. Throws Error{usage}.
at::Device parse_device(const std::string& name);
// "auto" → float32 on the CPU, bfloat16 on CUDA. Throws Error{usage}.
at::ScalarType parse_dtype(const std::string& name, at::Device device);
// The autoencoder's, of a run in `dtype`. "auto" → float32, as Wan's model cards have it, but bfloat16 on a
// card where the run is. Throws Error{usage}.
at::ScalarType parse_vae_dtype(const std::string& name, at::Device device, at::ScalarType dtype);
// "auto" → none: whoever asks chooses. Throws Error{usage}.
std::optional<bool> parse_tiling(const std::string& name);
// "auto" → none: weights are kept as they are stored. Throws Error{usage}.
std::optional<std::string> parse_weights_dtype(const std::string& name);
std::string dtype_name(at::ScalarType dtype);

}  // namespace t2v
