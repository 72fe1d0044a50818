#include "models/single_files.h"

#include <algorithm>

#include "models/wan/wan_shapes.h"
#include "models/wan/wan_variants.h"
#include "t2v/error.h"
#include "weights/unread_formats.h"

namespace t2v {

namespace {

using Files = std::map<std::string, std::filesystem::path>;

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& what) {
  throw Error(ErrorKind::bad_input, file.string() + ": " + what);
}

std::string name_of_component(const std::string& component) {
  return component == "vae"             ? "an autoencoder"
         : component == "text_encoder"  ? "a text encoder"
         : component == "image_encoder" ? "an image encoder"
         : component == "lora"          ? "a LoRA"
                                        : "a transformer";
}

// What is not among the files, a flag each.
std::string missing_beside(const FileKind& transformer, const Files& files) {
  std::string missing;
  for (const auto& [component, what] : transformer.beside)
    if (!files.contains(component) || component == "transformer")
      missing += (missing.empty() ? "" : ", ") + flag_of_component(component) + " (" + what + ")";
  return missing;
}

}  // namespace

std::string flag_of_component(const std::string& component) {
  auto flag = "--" + component;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

FileKind kind_of_given(const std::string& component, const std::filesystem::path& file, bool two_experts) {
  const auto source = open_weight_file(file);
  require_read_format(*source);
  auto kind = kind_of_file(source, file.filename().string(), two_experts);
  const auto wanted = component == "transformer_2" ? "transformer" : component;
  if (!kind.component.empty() && kind.component != wanted)
    refuse(file, "is " + name_of_component(kind.component) + " (" + kind.what + "); " +
                     flag_of_component(component) + " takes " + name_of_component(wanted));
  return kind;
}

void require_order(const Files& files) {
  for (const auto& [component, wrong] :
       {std::pair{"transformer", "low"}, std::pair{"transformer_2", "high"}}) {
    const auto found = files.find(component);
    if (found == files.end() || expert_in_name(found->second.filename().string()) != wrong) continue;
    const auto other = std::string(component) == "transformer" ? "transformer_2" : "transformer";
    refuse(found->second, std::string("is the ") + wrong + "-noise expert by its name; " +
                              flag_of_component(component) +
                              " takes the other one, and this one belongs to " + flag_of_component(other));
  }
}

ModelFolder assemble_model(const Files& files) {
  const auto& file = files.at("transformer");
  const bool two = files.contains("transformer_2");
  require_order(two ? files : Files());
  const auto transformer = kind_of_given("transformer", file, two);
  if (!transformer.config)
    refuse(file,
           transformer.component.empty()
               ? "is no model that t2v knows by its tensors; a folder with a config may say what it is: -m"
               : "is a " + transformer.what + " that t2v cannot run: " + transformer.why_no_config);
  const auto config = parse_wan_transformer_config(*transformer.config, file.string());
  const auto facts = wan_facts(config, two || !transformer.expert.empty()).value();
  if (two && facts.boundary_ratio == 0)
    refuse(files.at("transformer_2"), "--transformer-2 is the second of two experts; " + file.string() +
                                          " is " + transformer.what + ", which has one transformer");
  if (const auto missing = missing_beside(transformer, files); !missing.empty())
    refuse(file, "is " + transformer.what + "; beside it is needed " + missing);

  ModelFolder model;
  model.pipeline_class = facts.pipeline_class;
  model.defaults = defaults_of(facts);
  model.index = {{"_class_name", facts.pipeline_class}, {"expand_timesteps", facts.expand_timesteps}};
  if (facts.boundary_ratio > 0) model.index["boundary_ratio"] = facts.boundary_ratio;
  for (const auto& [component, path] : files) {
    model.given_weights[component] = path;
    if (component == "tokenizer") continue;
    const auto kind = component == "transformer" ? transformer : kind_of_given(component, path, two);
    if (!kind.config)
      refuse(path, kind.component.empty()
                       ? "is not known by its tensors; " + flag_of_component(component) + " takes " +
                             name_of_component(component)
                       : "is a " + kind.what + " that t2v cannot run: " + kind.why_no_config);
    if (const auto why = misfit(transformer, kind))
      refuse(path, "does not go with " + file.string() + ": " + *why);
    model.index[component] = {"", component};
    model.given_configs[component] = {*kind.config, path.string() + " (by its shapes)"};
    if (component == "image_encoder")
      model.given_configs["image_processor"] = {
          clip_vision_processor(kind.config->at("image_size").get<int64_t>()), path.string()};
  }
  model.given_configs["scheduler"] = {scheduler_of(facts), transformer.what};
  return model;
}

}  // namespace t2v
