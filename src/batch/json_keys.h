// Where the keys of a JSON object stand in its text, which the JSON library does not say.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace t2v {

// The keys of the outermost object in order, each with the byte at which its opening quote stands; a key that
// stands twice comes twice. `text` must be valid JSON.
std::vector<std::pair<std::string, std::size_t>> find_json_keys(std::string_view text);

}  // namespace t2v
