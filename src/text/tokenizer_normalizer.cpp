#include "text/tokenizer_normalizer.h"

#include <algorithm>

#include "t2v/error.h"
#include "text/unicode_text.h"

namespace t2v {
namespace {

uint32_t read_u32(std::string_view bytes, std::size_t at) {
  uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value |= uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return value;
}

// The parts of a double array's unit. Source: darts-clone, DoubleArrayUnit.
bool has_leaf(uint32_t unit) { return (unit >> 8) & 1; }
uint32_t leaf_value(uint32_t unit) { return unit & 0x7fffffff; }
uint32_t label(uint32_t unit) { return unit & 0x800000ff; }
uint32_t offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }

constexpr std::size_t short_cluster = 6;

}  // namespace

CharacterMap::CharacterMap(std::string_view map, const std::string& where) {
  if (map.empty()) return;
  const auto trie_bytes = map.size() < 4 ? 0 : std::size_t{read_u32(map, 0)};
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes > map.size() - 4) {
    throw Error(ErrorKind::bad_input, where + ": expected a character map with a trie inside, found " +
                                          std::to_string(map.size()) + " bytes with a trie of " +
                                          std::to_string(trie_bytes) +
                                          ". Fetch the model's tokenizer folder again.");
  }
  for (std::size_t at = 4; at < 4 + trie_bytes; at += 4) units_.push_back(read_u32(map, at));
  replacements_ = map.substr(4 + trie_bytes);
  if (!decode_utf8(replacements_)) {
    throw Error(ErrorKind::bad_input, where +
                                          ": expected replacement characters in UTF-8, found other bytes. "
                                          "Fetch the model's tokenizer folder again.");
  }
}

// Every step is checked against the array's end, because a damaged map may point anywhere.
std::optional<std::string_view> CharacterMap::replacement(std::string_view key) const {
  if (units_.empty()) return std::nullopt;
  std::size_t node = offset(units_[0]);
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return std::nullopt;
    node ^= byte;
    if (node >= units_.size() || label(units_[node]) != byte) return std::nullopt;
    const auto unit = units_[node];
    node ^= offset(unit);
    if (!has_leaf(unit)) continue;
    if (node >= units_.size()) return std::nullopt;
    const std::size_t begin = leaf_value(units_[node]);
    const bool inside_character = begin < replacements_.size() &&
                                  (static_cast<unsigned char>(replacements_[begin]) & 0xc0) == 0x80;
    if (begin >= replacements_.size() || inside_character) return std::nullopt;
    const auto end = std::min(replacements_.find('\0', begin), replacements_.size());
    return std::string_view(replacements_).substr(begin, end - begin);
  }
  return std::nullopt;
}

std::string CharacterMap::normalize(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto cluster = text.substr(0, first_grapheme_bytes(text));
    text.remove_prefix(cluster.size());
    if (cluster.size() < short_cluster) {
      if (const auto whole = replacement(cluster)) {
        out += *whole;
        continue;
      }
    }
    for (std::size_t at = 0; at < cluster.size();) {
      const auto character = cluster.substr(at, utf8_length(cluster[at]));
      out += replacement(character).value_or(character);
      at += character.size();
    }
  }
  return out;
}

}  // namespace t2v
