#include "pipeline/plan/plan_files.h"

#include "models/single_files.h"
#include "pipeline/components.h"
#include "t2v/error.h"

namespace t2v {

namespace {

std::map<std::string, std::filesystem::path> as_paths(const ComponentFiles& files) {
  return {files.begin(), files.end()};
}

}  // namespace

const std::vector<FileSetting>& file_settings() {
  using R = GenerationRequest;
  static const std::vector<FileSetting> settings = {
      {"transformer", &R::transformer},   {"transformer_2", &R::transformer_2}, {"vae", &R::vae},
      {"text_encoder", &R::text_encoder}, {"image_encoder", &R::image_encoder}, {"tokenizer", &R::tokenizer}};
  return settings;
}

void plan_files(GenerationPlan& plan, const GenerationRequest& request) {
  for (const auto& [component, field] : file_settings())
    if (const auto& file = request.*field) plan.weights[component] = *file;
  plan.loras = request.lora.value_or(std::vector<std::string>());
  plan.loras_2 = request.lora_2.value_or(std::vector<std::string>());
  plan.weights_dtype = parse_weights_dtype(request.weights_dtype.value_or("auto"));
  if (request.model || !request.transformer) {
    plan.model = request.model.value_or(kDefaultModel);
    plan.model_folder = find_model(plan.model, [&](const std::string& line) { plan.notes.push_back(line); });
  }
  if (!plan.model_folder.empty() && is_model_tree(plan.model_folder)) {
    plan.weights = find_in_tree(plan.model_folder, plan.weights, plan.notes);
    for (auto* loras : {&plan.loras, &plan.loras_2})
      for (auto& lora : *loras) lora = find_lora_in_tree(plan.model_folder, lora);
    plan.model_folder.clear();
  }
  if (plan.model_folder.empty()) return;  // assemble_model looks at all of them
  for (const auto& [component, file] : plan.weights)
    if (component != "tokenizer") kind_of_given(component, file);
}

void check_experts(const GenerationPlan& plan, const Model& model) {
  const bool two = model.boundary_timestep().has_value();
  for (const auto& [given, flag] : {std::pair{plan.weights.contains("transformer_2"), "--transformer-2"},
                                    std::pair{!plan.loras_2.empty(), "--lora-2"}})
    if (given && !two)
      throw Error(ErrorKind::usage, std::string(flag) +
                                        " belongs to models with two experts (boundary_ratio); this one has "
                                        "one transformer");
  if (!two) return;
  require_order(as_paths(plan.weights));
  const auto all_named = [](const std::vector<std::string>& loras, const char* side) {
    for (const auto& lora : loras)
      if (expert_in_name(parse_lora(lora).file.filename().string()) != side) return false;
    return !loras.empty();
  };
  if (all_named(plan.loras, "low") && all_named(plan.loras_2, "high"))
    throw Error(ErrorKind::bad_input,
                "--lora " + plan.loras.front() + " is of the low-noise expert by its name, and --lora-2 " +
                    plan.loras_2.front() +
                    " of the high-noise one: --lora takes that of high noise, --lora-2 that of low noise");
}

}  // namespace t2v
