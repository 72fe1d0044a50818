#include "base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace t2v {

namespace {

struct Decoded {
  uint32_t code = 0;
  std::size_t length = 0;  // 0: invalid
};

// One code point at `position`; the table of well-formed sequences is Unicode 15, table 3-7.
Decoded decode(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t i) -> uint32_t {
    return position + i < text.size() ? static_cast<uint8_t>(text[position + i]) : 0;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead >= 0xC2 && lead <= 0xDF && continues(1)) return {(lead & 0x1FU) << 6 | (byte(1) & 0x3FU), 2};
  if ((lead & 0xF0U) == 0xE0U && continues(1) && continues(2)) {
    const uint32_t code = (lead & 0x0FU) << 12 | (byte(1) & 0x3FU) << 6 | (byte(2) & 0x3FU);
    if (code >= 0x800 && (code < 0xD800 || code > 0xDFFF)) return {code, 3};
  }
  if (lead >= 0xF0 && lead <= 0xF4 && continues(1) && continues(2) && continues(3)) {
    const uint32_t code = (lead & 0x07U) << 18 | (byte(1) & 0x3FU) << 12 | (byte(2) & 0x3FU) << 6 |
                          (byte(3) & 0x3FU);
    if (code >= 0x10000 && code <= 0x10FFFF) return {code, 4};
  }
  return {};
}

}  // namespace

std::optional<TextDefect> find_text_defect(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto [code, length] = decode(text, i);
    if (length == 0) return TextDefect{i, "invalid UTF-8"};
    if (code == 0) return TextDefect{i, "NUL byte"};
    const bool control = (code < 0x20 && code != '\t' && code != '\n' && code != '\r') ||
                         (code >= 0x7F && code < 0xA0);
    if (control) {
      char name[40];
      std::snprintf(name, sizeof name, "control character U+%04X", code);
      return TextDefect{i, name};
    }
    i += length;
  }
  return std::nullopt;
}

std::string printable(std::string_view text) {
  std::string shown;
  for (std::size_t i = 0; i < text.size();) {
    const auto [code, length] = decode(text, i);
    const bool control = (code < 0x20 && code != '\t' && code != '\n') || (code >= 0x7F && code < 0xA0);
    if (length == 0 || control)
      shown += "\xEF\xBF\xBD";
    else
      shown += text.substr(i, length);
    i += std::max<std::size_t>(length, 1);
  }
  return shown;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace t2v
