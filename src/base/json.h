// JSON files with errors that name the file and the key. nlohmann_json underneath; nesting and size are
// bounded, since no file is trusted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "t2v/error.h"

namespace t2v {

using Json = nlohmann::json;

struct JsonLimits {
  std::size_t bytes = std::size_t{64} << 20;
  int depth = 64;
  bool refuse_duplicate_keys = true;
};

// What keeps a text from being JSON, and where: for those who say the place in their own words.
struct JsonDefect {
  std::size_t byte = 0;
  std::string what;
};

// Parses `text` into `parsed`; says what is wrong where it cannot.
std::optional<JsonDefect> try_parse_json(std::string_view text, Json& parsed, const JsonLimits& limits = {});

// Parses `text`; `where` names the source in messages. Throws Error{kind} on bad syntax, too deep nesting,
// duplicate keys or too many bytes.
Json parse_json(std::string_view text, const std::string& where, ErrorKind kind = ErrorKind::bad_input,
                const JsonLimits& limits = {});

// A file's bytes. Throws Error{kind} when it cannot be read or has more than `most`.
std::string read_text(const std::filesystem::path& path, ErrorKind kind, std::size_t most);

// Reads and parses a file. Throws Error{kind}, also when the file cannot be read.
Json read_json(const std::filesystem::path& path, ErrorKind kind = ErrorKind::bad_input,
               const JsonLimits& limits = {});

// The value at `key` as T; throws Error{bad_input} naming `where`, the key, and the type found when it is
// missing or of another type.
template <class T>
T json_get(const Json& object, const std::string& key, const std::string& where);

// The same with a value for an absent or null key.
template <class T>
T json_get_or(const Json& object, const std::string& key, T otherwise, const std::string& where);

// A positive integer of at most `most`: a size that a config states and that memory will be spent on. Throws
// Error{bad_input}.
int64_t json_size(const Json& object, const std::string& key, const std::string& where, int64_t most);

namespace detail {
[[noreturn]] void throw_json_type(const std::string& key, const std::string& where, const Json* found,
                                  const char* expected);

// Whether everything in lists of lists is an integer that int64_t holds. nlohmann_json would cast any number
// to the element's type, which is undefined for one that does not fit.
bool holds_only_integers(const Json& value);

// What lists of lists are made of in the end: std::vector<std::array<int64_t, 2>> of int64_t.
template <class T>
struct Leaf {
  using type = T;
};
template <class T>
struct Leaf<std::vector<T>> : Leaf<T> {};
template <class T, std::size_t n>
struct Leaf<std::array<T, n>> : Leaf<T> {};

}  // namespace detail

template <class T>
T json_get(const Json& object, const std::string& key, const std::string& where) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) detail::throw_json_type(key, where, nullptr, "a value");
  if constexpr (std::is_same_v<T, bool>) {
    if (!found->is_boolean()) detail::throw_json_type(key, where, &*found, "true or false");
  } else if constexpr (std::is_integral_v<T>) {
    if (!found->is_number_integer()) detail::throw_json_type(key, where, &*found, "an integer");
    if (found->is_number_unsigned() &&
        found->template get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<T>::max()))
      detail::throw_json_type(key, where, &*found, "a smaller integer");
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!found->is_number()) detail::throw_json_type(key, where, &*found, "a number");
  } else if constexpr (std::is_same_v<typename detail::Leaf<T>::type, int64_t>) {
    if (!detail::holds_only_integers(*found))
      detail::throw_json_type(key, where, &*found, "a list of integers");
  }
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    detail::throw_json_type(key, where, &*found, "a value of another type");
  }
}

template <class T>
T json_get_or(const Json& object, const std::string& key, T otherwise, const std::string& where) {
  if (!object.is_object() || !object.contains(key) || object.at(key).is_null()) return otherwise;
  return json_get<T>(object, key, where);
}

}  // namespace t2v
