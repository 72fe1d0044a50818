// Tensors of a file by the names that the networks have, whatever the file calls them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "weights/tensor_source.h"

namespace t2v {

// The name in the file of a tensor that has one of these names, each with any of the prefixes that single
// files have; none where it is not there.
std::optional<std::string> name_in_file(const TensorSource& file, const std::vector<std::string>& names);

class NamedTensors {
 public:
  // names: all that a tensor of this name here may be called.
  NamedTensors(const TensorSource& file, std::function<std::vector<std::string>(const std::string&)> names)
      : file_(file), names_(std::move(names)) {}

  bool has(const std::string& name) const { return !shape(name).empty(); }
  // Empty where it is not there.
  std::vector<int64_t> shape(const std::string& name) const;
  // Of a tensor that has so many dimensions; 0 otherwise.
  int64_t side(const std::string& name, std::size_t dimensions, std::size_t which) const;
  // How many there are of before + N + after, from N = 0 on; at most 1024.
  int64_t count(const std::string& before, const std::string& after) const;

 private:
  const TensorSource& file_;
  std::function<std::vector<std::string>(const std::string&)> names_;
};

}  // namespace t2v
