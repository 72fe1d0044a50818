// JSON as text, of strings that may come from outside.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace t2v {

// Json or OrderedJson; indent: -1 for one line. A file name, an argument or a file's metadata may hold any
// bytes: those that are not UTF-8 become U+FFFD, where dump() would throw.
template <class AnyJson>
std::string json_text(const AnyJson& json, int indent = -1) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false, AnyJson::error_handler_t::replace);
}

}  // namespace t2v
