#include "batch/json_keys.h"

#include "base/json.h"

namespace t2v {

namespace {

// The byte behind the string whose opening quote stands at `begin`.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  std::size_t i = begin + 1;
  while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

}  // namespace

std::vector<std::pair<std::string, std::size_t>> find_json_keys(std::string_view text) {
  std::vector<std::pair<std::string, std::size_t>> keys;
  int depth = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == '{' || text[i] == '[') ++depth;
    if (text[i] == '}' || text[i] == ']') --depth;
    if (text[i] != '"') {
      ++i;
      continue;
    }
    const auto end = end_of_string(text, i);
    const auto next = text.find_first_not_of(" \t\r\n", end);
    if (depth == 1 && next != std::string_view::npos && text[next] == ':')
      keys.emplace_back(Json::parse(text.substr(i, end - i)).get<std::string>(), i);
    i = end;
  }
  return keys;
}

}  // namespace t2v
