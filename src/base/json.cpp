#include "base/json.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include "base/lfs_pointer.h"

namespace t2v {

namespace {

std::string line_and_column(std::string_view text, std::size_t byte) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t i = 0; i < std::min(byte, text.size()); ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n' ? 1 : 0;
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// What the parser's callback throws to end the parsing.
struct Refused {
  std::string what;
};

}  // namespace

std::optional<JsonDefect> try_parse_json(std::string_view text, Json& parsed, const JsonLimits& limits) {
  if (text.size() > limits.bytes)
    return JsonDefect{0, std::to_string(text.size()) + " bytes of JSON; at most " +
                             std::to_string(limits.bytes) + " are read"};
  // The parser takes a NUL byte for the end of the text, and what stands behind it would go unseen.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos)
    return JsonDefect{nul, "bad JSON at " + line_and_column(text, nul) + ": syntax error: a NUL byte"};
  std::vector<std::set<std::string>> keys;  // of each open object
  // The parser calls back before it goes deeper, which is what bounds the nesting.
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > limits.depth)
      throw Refused{"JSON nested deeper than " + std::to_string(limits.depth) + " levels"};
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && limits.refuse_duplicate_keys &&
        !keys.back().insert(value.get<std::string>()).second)
      throw Refused{"the key '" + value.get<std::string>() + "' stands twice in one object"};
    return true;
  };
  try {
    parsed = Json::parse(text.begin(), text.end(), watch);
    return std::nullopt;
  } catch (const Refused& refused) {
    return JsonDefect{0, refused.what};
  } catch (const nlohmann::json::parse_error& error) {
    const std::string what = error.what();
    const auto reason = what.find("syntax error");
    const std::size_t byte = error.byte == 0 ? 0 : error.byte - 1;
    return JsonDefect{byte, "bad JSON at " + line_and_column(text, byte) + ": " +
                                (reason == std::string::npos ? what : what.substr(reason))};
  } catch (const nlohmann::json::exception& error) {
    return JsonDefect{0, std::string("bad JSON: ") + error.what()};
  }
}

Json parse_json(std::string_view text, const std::string& where, ErrorKind kind, const JsonLimits& limits) {
  Json parsed;
  if (const auto defect = try_parse_json(text, parsed, limits))
    throw Error(kind, where + ": " + defect->what);
  return parsed;
}

std::string read_text(const std::filesystem::path& path, ErrorKind kind, std::size_t most) {
  std::error_code failed;
  const auto size = std::filesystem::file_size(path, failed);
  if (failed) throw Error(kind, path.string() + ": cannot be read (" + failed.message() + ")");
  if (size > most)
    throw Error(kind, path.string() + ": " + std::to_string(size) + " bytes; at most " +
                          std::to_string(most) + " are read");
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw Error(kind, path.string() + ": cannot be read (" + std::strerror(errno) + ")");
  refuse_lfs_pointer(text.view(), path.string(), kind);
  return std::move(text).str();
}

Json read_json(const std::filesystem::path& path, ErrorKind kind, const JsonLimits& limits) {
  return parse_json(read_text(path, kind, limits.bytes), path.string(), kind, limits);
}

int64_t json_size(const Json& object, const std::string& key, const std::string& where, int64_t most) {
  const auto value = json_get<int64_t>(object, key, where);
  if (value < 1 || value > most)
    throw Error(ErrorKind::bad_input, where + ": '" + key + "' should be between 1 and " +
                                          std::to_string(most) + ", found " + std::to_string(value));
  return value;
}

namespace detail {

bool holds_only_integers(const Json& value) {
  if (value.is_array()) return std::all_of(value.begin(), value.end(), holds_only_integers);
  if (value.is_number_unsigned())
    return value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  return value.is_number_integer();
}

void throw_json_type(const std::string& key, const std::string& where, const Json* found,
                     const char* expected) {
  if (found == nullptr) throw Error(ErrorKind::bad_input, where + ": the key '" + key + "' is missing");
  std::string shown = found->dump();
  if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
  throw Error(ErrorKind::bad_input, where + ": '" + key + "' should be " + expected + ", found " + shown);
}

}  // namespace detail

}  // namespace t2v
