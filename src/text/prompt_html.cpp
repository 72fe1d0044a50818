#include "text/prompt_html.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>

#include "text/unicode_text.h"

namespace t2v {
namespace {

struct Entity {
  std::string_view name, text;  // without the ampersand; UTF-8
};

#include "text/prompt_entities.inc"

constexpr std::size_t longest_name = 32;         // html.unescape looks no further
constexpr std::size_t longest_closed_name = 24;  // nor does ftfy

bool is_digit(char32_t c) { return c >= U'0' && c <= U'9'; }
bool is_hex_digit(char32_t c) { return is_digit(c) || (c >= U'a' && c <= U'f') || (c >= U'A' && c <= U'F'); }
bool is_alphanumeric(char32_t c) {
  return is_digit(c) || (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z');
}
bool ends_name(char32_t c) {
  return c == U'\t' || c == U'\n' || c == U'\f' || c == U' ' || c == U'<' || c == U'&' || c == U'#' ||
         c == U';';
}

template <std::size_t count>
std::optional<std::u32string> find_entity(const Entity (&table)[count], std::u32string_view name) {
  const auto key = encode_utf8(name);
  const auto found = std::lower_bound(std::begin(table), std::end(table), key,
                                      [](const Entity& e, const std::string& k) { return e.name < k; });
  if (found == std::end(table) || found->name != key) return std::nullopt;
  return decode_utf8(found->text);
}

// What a browser shows for a numeric reference: 0x80 to 0x9F are Windows-1252, what is no character is U+FFFD
// or nothing.
std::u32string numeric_reference(uint32_t number) {
  static constexpr char32_t windows_1252[] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                              0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                              0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                              0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
  if (number >= 0x80 && number <= 0x9f) return {windows_1252[number - 0x80]};
  if (number == 0 || number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff)) return U"\ufffd";
  const bool control = number < 0x20 && number != 0x09 && number != 0x0a && number != 0x0c && number != 0x0d;
  const bool no_character = (number >= 0xfdd0 && number <= 0xfdef) || (number & 0xfffe) == 0xfffe;
  if (control || number == 0x7f || no_character) return {};
  return {static_cast<char32_t>(number)};
}

struct Reference {
  std::size_t length;  // characters after the ampersand, 0 when there is no reference
  std::u32string text;
};

// `rest` starts with '#'.
Reference read_numeric(std::u32string_view rest) {
  const bool hex = rest.size() > 1 && (rest[1] == U'x' || rest[1] == U'X');
  const std::size_t begin = hex ? 2 : 1;
  std::size_t end = begin;
  uint32_t number = 0;
  for (; end < rest.size() && (hex ? is_hex_digit(rest[end]) : is_digit(rest[end])); ++end) {
    const auto digit = is_digit(rest[end]) ? rest[end] - U'0' : (rest[end] | 0x20) - U'a' + 10;
    number = std::min<uint32_t>(number * (hex ? 16 : 10) + digit, 0x110000);  // saturates: larger numbers are
                                                                              // all alike
  }
  if (end == begin) return {0, {}};
  if (end < rest.size() && rest[end] == U';') ++end;
  return {end, numeric_reference(number)};
}

Reference read_named(std::u32string_view rest) {
  std::size_t end = 0;
  while (end < rest.size() && end < longest_name && !ends_name(rest[end])) ++end;
  if (end == 0) return {0, {}};
  if (end < rest.size() && rest[end] == U';') ++end;
  const auto name = rest.substr(0, end);
  if (auto whole = find_entity(html_entities, name)) return {end, *whole};
  for (auto length = end - 1; length > 1; --length) {
    if (auto prefix = find_entity(html_entities, name.substr(0, length)))
      return {end, *prefix + std::u32string(name.substr(length))};
  }
  return {0, {}};
}

template <class Read>
std::u32string replace_references(const std::u32string& text, Read read) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto found = text[at] == U'&' ? read(std::u32string_view(text).substr(at + 1)) : Reference{0, {}};
    if (found.length == 0) {
      out.push_back(text[at++]);
    } else {
      out += found.text;
      at += 1 + found.length;
    }
  }
  return out;
}

Reference read_any(std::u32string_view rest) {
  if (rest.empty()) return {0, {}};
  return rest[0] == U'#' ? read_numeric(rest) : read_named(rest);
}

Reference read_closed(std::u32string_view rest) {
  const std::size_t begin = !rest.empty() && rest[0] == U'#' ? 1 : 0;
  auto end = begin;
  while (end < rest.size() && end - begin < longest_closed_name && is_alphanumeric(rest[end])) ++end;
  if (end == begin || end == rest.size() || rest[end] != U';') return {0, {}};
  const auto name = rest.substr(0, end + 1);
  if (begin == 0) {
    auto entity = find_entity(html_entities, name);
    if (!entity) entity = find_entity(shouted_entities, name);
    return entity ? Reference{name.size(), *entity} : Reference{0, {}};
  }
  auto number = read_numeric(name);
  if (number.length != name.size() || number.text == U";")
    return {0, {}};  // the semicolon must have been part of the reference
  return number;
}

}  // namespace

std::u32string html_unescape(const std::u32string& text) { return replace_references(text, read_any); }

std::u32string unescape_closed_references(const std::u32string& text) {
  return replace_references(text, read_closed);
}

}  // namespace t2v
