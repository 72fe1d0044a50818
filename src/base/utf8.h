// Checks on text that comes from a user.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace t2v {

struct TextDefect {
  std::size_t byte_offset;
  std::string what;  // "invalid UTF-8", "NUL byte", "control character U+0007"
};

// The first defect of `text` as a prompt: not UTF-8 (overlong forms and surrogates included), a NUL, or a
// control character other than tab, newline and carriage return. Empty when there is none.
std::optional<TextDefect> find_text_defect(std::string_view text);

// `text` as it may be shown on a terminal: bytes of bad UTF-8 and control characters other than tab and
// newline become U+FFFD. For what comes out of files.
std::string printable(std::string_view text);

// The candidate nearest to `name` by edit distance, or nothing when none is near (distance > max(2, length /
// 3)).
template <class Names>
std::optional<std::string> nearest_name(const std::string& name, const Names& candidates);

std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Names>
std::optional<std::string> nearest_name(const std::string& name, const Names& candidates) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const std::string_view other = candidate;
    // A name that a file gives may have megabytes; lengths that differ by more than the distance need no
    // comparing.
    if (std::max(name.size(), other.size()) - std::min(name.size(), other.size()) >= best_distance) continue;
    if (const auto distance = edit_distance(name, candidate); distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace t2v
