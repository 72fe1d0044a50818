#include "video/read/file_header.h"

namespace t2v {

bool y4m_says_bt709(std::string_view beginning) {
  return beginning.substr(0, beginning.find('\n')).find(" XCOLORMATRIX=BT709") != std::string_view::npos;
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
