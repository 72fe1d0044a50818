#include "models/tensor_names.h"

namespace t2v {

std::optional<std::string> name_in_file(const TensorSource& file, const std::vector<std::string>& names) {
  for (const auto& name : names)
    for (const char* prefix : {"", "model.diffusion_model.", "diffusion_model.", "first_stage_model."})
      if (auto key = prefix + name; file.find(key)) return key;
  return std::nullopt;
}

std::vector<int64_t> NamedTensors::shape(const std::string& name) const {
  const auto key = name_in_file(file_, names_(name));
  return key ? file_.find(*key)->shape : std::vector<int64_t>();
}

int64_t NamedTensors::side(const std::string& name, std::size_t dimensions, std::size_t which) const {
  const auto found = shape(name);
  return found.size() == dimensions ? found[which] : 0;
}

int64_t NamedTensors::count(const std::string& before, const std::string& after) const {
  constexpr int64_t most = 1024;
  int64_t number = 0;
  while (number < most && has(before + std::to_string(number) + after)) ++number;
  return number;
}

}  // namespace t2v
