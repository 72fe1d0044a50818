// What a single file of weights is, by the names and shapes of its tensors: such files have no config.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "weights/tensor_source.h"

namespace t2v {

struct FileKind {
  std::string component;  // "transformer", "vae", "text_encoder", "image_encoder", "lora"; empty: not known
  std::string what;       // "Wan 2.1 T2V 1.3B", for people
  std::optional<Json> config;      // that a model folder would have for the component
  std::string why_no_config = {};  // of components that t2v could not run
  std::string expert = {};         // "high" or "low": which of two experts its name says that it is
  std::string makes = {};          // what the model makes of what
  struct Needed {
    std::string component, what;
  };
  std::vector<Needed> beside = {};      // what a run needs with it
  std::vector<std::string> notes = {};  // what the tensors do not tell
};

// name: of the file, which tells where the tensors cannot. two_experts: whether there is another transformer
// beside it. Reads no tensor.
FileKind kind_of_file(const std::shared_ptr<const TensorSource>& file, const std::string& name,
                      bool two_experts = false);

// Why a file cannot run with a transformer; none where it can. Both have a config.
std::optional<std::string> misfit(const FileKind& transformer, const FileKind& other);

// "high" or "low", where a file's name says that it is one of two experts.
std::string expert_in_name(const std::string& name);

}  // namespace t2v
