#include "video/file_header.h"

#include <bit>

namespace t2v {

namespace {

// The variable-length size at `position`, which moves behind it; nothing at the end of the bytes or for
// "unknown" (all bits one).
std::optional<int64_t> read_size(std::string_view bytes, std::size_t& position) {
  if (position >= bytes.size()) return std::nullopt;
  const auto first = static_cast<uint8_t>(bytes[position]);
  const int length = std::countl_zero(first) + 1;
  if (length > 8 || position + length > bytes.size()) return std::nullopt;
  uint64_t value = first & ((1u << (8 - length)) - 1);
  for (int i = 1; i < length; ++i) value = value << 8 | static_cast<uint8_t>(bytes[position + i]);
  position += length;
  const auto unknown = (uint64_t{1} << (7 * length)) - 1;
  return value == unknown ? std::nullopt : std::optional(static_cast<int64_t>(value));
}

}  // namespace

bool y4m_says_bt709(std::string_view beginning) {
  return beginning.substr(0, beginning.find('\n')).find(" XCOLORMATRIX=BT709") != std::string_view::npos;
}

std::optional<int64_t> matroska_file_size(std::string_view beginning) {
  constexpr std::string_view ebml = "\x1a\x45\xdf\xa3", segment = "\x18\x53\x80\x67";
  if (!beginning.starts_with(ebml)) return std::nullopt;
  std::size_t position = ebml.size();
  const auto header = read_size(beginning, position);
  if (!header || *header >= static_cast<int64_t>(beginning.size() - position)) return std::nullopt;
  position += static_cast<std::size_t>(*header);
  if (beginning.substr(position, segment.size()) != segment) return std::nullopt;
  position += segment.size();
  const auto body = read_size(beginning, position);
  return body ? std::optional(static_cast<int64_t>(position) + *body) : std::nullopt;
}

std::map<std::string, std::string> png_utf8_texts(std::string_view beginning) {
  using namespace std::string_view_literals;
  constexpr auto signature = "\x89PNG\r\n\x1a\n"sv;
  std::map<std::string, std::string> texts;
  if (!beginning.starts_with(signature)) return texts;
  auto rest = beginning.substr(signature.size());
  while (rest.size() >= 12) {  // length, type, data, CRC
    std::size_t length = 0;
    for (const char c : rest.substr(0, 4)) length = length << 8 | static_cast<uint8_t>(c);
    const auto type = rest.substr(4, 4);
    if (type == "IDAT" || length > rest.size() - 12) break;
    const auto data = rest.substr(8, length);
    rest.remove_prefix(length + 12);
    // keyword, two bytes on compression, language, translated keyword, text
    const auto keyword = data.substr(0, data.find('\0'));
    if (type != "iTXt" || data.substr(keyword.size(), 3) != "\0\0\0"sv) continue;
    const auto language_end = data.find('\0', keyword.size() + 3);
    const auto end = language_end == data.npos ? data.npos : data.find('\0', language_end + 1);
    if (end != data.npos) texts.emplace(keyword, data.substr(end + 1));
  }
  return texts;
}

}  // namespace t2v
