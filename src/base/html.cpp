#include "base/html.h"

#include <cstdint>
#include <fstream>
#include <iterator>

#include "base/utf8.h"

namespace t2v {

namespace {

// Of well-formed UTF-8, at `position`.
bool is_bidi_control(std::string_view text, std::size_t position) {
  const auto code = text.substr(position, 3);
  return (code >= "\u202A" && code <= "\u202E") || (code >= "\u2066" && code <= "\u2069");
}

}  // namespace

std::string escape_html(std::string_view text) {
  const auto shown = printable(text);
  std::string out;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const char c = shown[i];
    if (is_bidi_control(shown, i)) {
      out += "\uFFFD";
      i += 2;
      continue;
    }
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k > bytes.size() ? '=' : digits[group >> (18 - 6 * k) & 63];
  }
  return out;
}

std::string data_uri(std::string_view type, std::string_view bytes) {
  return "data:" + std::string(type) + ";base64," + base64(bytes);
}

std::string data_uri_of_file(std::string_view type, const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return data_uri(type, std::string(std::istreambuf_iterator<char>(file), {}));
}

}  // namespace t2v
