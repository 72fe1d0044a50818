// Which files a model is made of: a folder, files in place of a folder's, or single files alone, which may
// lie in a tree of models as ComfyUI has it.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "models/model.h"
#include "t2v/request.h"

namespace t2v {

// A component of a model, and the setting that names its file.
struct FileSetting {
  const char* component;
  std::optional<std::string> GenerationRequest::*field;
};
const std::vector<FileSetting>& file_settings();

// plan.model, model_folder, weights and LoRAs. Throws Error{usage, bad_input} also for files that are of
// another component than they were given for.
void plan_files(GenerationPlan& plan, const GenerationRequest& request);

// Throws Error{usage} for files of a second expert where the model has none, and Error{bad_input} for experts
// that are swapped by their names.
void check_experts(const GenerationPlan& plan, const Model& model);

// A folder of folders of single files: diffusion_models or unet, vae, text_encoders or clip, clip_vision,
// loras.
bool is_model_tree(const std::filesystem::path& folder);

using ComponentFiles = std::map<std::string, std::string>;
// What is not given is looked for in the tree, and files that are given by name; notes get a line on what was
// taken. Throws Error{bad_input} where nothing fits, or several files do and nobody can say which.
ComponentFiles find_in_tree(const std::filesystem::path& tree, ComponentFiles given,
                            std::vector<std::string>& notes);
// The same of a LoRA, "FILE" or "FILE:SCALE".
std::string find_lora_in_tree(const std::filesystem::path& tree, const std::string& lora);

}  // namespace t2v
