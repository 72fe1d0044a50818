// Where the keys of a JSON object and the items of an array stand in their text, which the JSON library does
// not say.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace t2v {

// The keys of the outermost object in order, each with the byte at which its opening quote stands; a key that
// stands twice comes twice. `text` must be valid JSON.
std::vector<std::pair<std::string, std::size_t>> find_json_keys(std::string_view text);

struct JsonItems {
  std::vector<std::string_view> items;  // without the white space around them; an empty one where a comma is
                                        // one too many
  std::optional<JsonDefect> defect;     // of the array itself
};

// The items of a JSON array, which need not be valid JSON themselves: each can so be parsed alone, and what
// is wrong with one does not hide the others.
JsonItems split_json_array(std::string_view text);

}  // namespace t2v
