// Which files hold the weights of one component.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace t2v {

struct WeightFiles {
  std::vector<std::filesystem::path> files;     // safetensors, by name
  std::filesystem::path index;                  // names the shards; empty: all weights are in one file
  std::map<std::string, std::string> shard_of;  // tensor name → file name, of what the index lists
};

// `folder` should hold STEM.safetensors, or STEM.safetensors.index.json with the shards that it names. Throws
// Error{bad_input} that says what is there instead, and what to do: a variant, pickled weights, a link to
// nothing, an index without its shards, nothing at all.
WeightFiles find_weight_files(const std::filesystem::path& folder, const std::string& stem);

}  // namespace t2v
