// The networks of a Wan model folder: configs read and checked against each other first, weights loaded one
// component at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>

#include "models/umt5_encoder.h"
#include "models/wan_transformer.h"
#include "models/wan_vae.h"
#include "schedulers/config.h"
#include "text/tokenizer.h"
#include "weights/model_folder.h"

namespace t2v {

// The model that is used where none is named.
constexpr const char* kDefaultModel = "world-128";

struct ModelConfigs {
  Umt5Config text_encoder;
  WanTransformerConfig transformer;
  WanVaeConfig vae;
  SchedulerConfig scheduler;
  SchedulerKind scheduler_kind = SchedulerKind::unipc;
};

// Throws Error{bad_input} when a config is bad, contradicts another one, or asks for what t2v does not have.
ModelConfigs read_model_configs(const ModelFolder& model);

// The scheduler that a model is sampled with when nobody names one: t2v.json's, else that of the folder.
std::string default_scheduler(const ModelDefaults& defaults, const ModelConfigs& configs);

// Sizes in pixels are multiples of this.
int64_t size_multiple(const ModelConfigs& configs);

// Each throws Error{bad_input} with everything that is wrong with the component's weights.
Umt5Encoder load_text_encoder(const ModelFolder& model, const ModelConfigs& configs, at::Device device,
                              at::ScalarType dtype);
WanTransformer load_transformer(const ModelFolder& model, const ModelConfigs& configs, at::Device device,
                                at::ScalarType dtype);
WanVae load_vae(const ModelFolder& model, const ModelConfigs& configs, at::Device device);

// Throws Error{bad_input}, also for a tokenizer with more tokens than the text encoder knows.
std::unique_ptr<Tokenizer> load_tokenizer(const ModelFolder& model, const ModelConfigs& configs);

// Numbers in the weights of each component.
struct ComponentSizes {
  int64_t text_encoder = 0, transformer = 0, vae = 0;
  int64_t total() const { return text_encoder + transformer + vae; }
};
ComponentSizes component_sizes(const ModelFolder& model);

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
std::string dtype_name(at::ScalarType dtype);

}  // namespace t2v
