#include "base/json_keys.h"

namespace t2v {

namespace {

// The byte behind the string whose opening quote stands at `begin`.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  std::size_t i = begin + 1;
  while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

std::string_view without_space(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return text.substr(text.size());
  return text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
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

JsonItems split_json_array(std::string_view text) {
  JsonItems found;
  const auto open = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  if (!text.substr(open).starts_with('[')) {
    found.defect = {open, "should be an array of JSON objects, [{\"prompt\": \"…\"}, …]"};
    return found;
  }
  int depth = 0;
  std::size_t begin = open + 1;
  for (std::size_t i = begin; i < text.size();) {
    if (text[i] == '"') {
      i = end_of_string(text, i);
      continue;
    }
    const bool last = depth == 0 && text[i] == ']';
    if (last || (depth == 0 && text[i] == ',')) {
      const auto item = without_space(text.substr(begin, i - begin));
      if (!last || !item.empty() || !found.items.empty()) found.items.push_back(item);
      begin = i + 1;
    }
    if (last) {
      const auto rest = text.find_first_not_of(" \t\r\n", begin);
      if (rest != std::string_view::npos) found.defect = {rest, "text after the end of the array"};
      return found;
    }
    if (text[i] == '{' || text[i] == '[') ++depth;
    if ((text[i] == '}' || text[i] == ']') && depth > 0) --depth;
    ++i;
  }
  found.items.push_back(without_space(text.substr(begin)));
  found.defect = {open, "the array that begins here is never closed"};
  return found;
}

}  // namespace t2v
