#include "video/write/webp_file.h"

#include <array>

namespace t2v {

namespace {

constexpr std::size_t riff_header = 12, chunk_header = 8;
constexpr char flag_xmp = 4;

struct XmpField {
  const char* key;
  const char* begin;
  const char* end;
};
// Source: XMP specification, part 1; IPTC photo metadata standard.
constexpr std::array<XmpField, 3> fields{
    {{"title", "<dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">", "</rdf:li></rdf:Alt></dc:title>"},
     {"comment", "<dc:description><rdf:Alt><rdf:li xml:lang=\"x-default\">",
      "</rdf:li></rdf:Alt></dc:description>"},
     {"digital_source_type", "<Iptc4xmpExt:DigitalSourceType>", "</Iptc4xmpExt:DigitalSourceType>"}}};

constexpr std::array<std::pair<char, std::string_view>, 3> entities{
    {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}}};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    std::string_view put(&c, 1);
    for (const auto& [plain, entity] : entities)
      if (c == plain) put = entity;
    out += put;
  }
  return out;
}

std::string unescaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    char c = text.front();
    std::size_t length = 1;
    for (const auto& [plain, entity] : entities)
      if (text.starts_with(entity)) c = plain, length = entity.size();
    out += c;
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

std::string xmp_of_metadata(const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::string inside;
  for (const auto& [key, value] : metadata)
    for (const auto& field : fields)
      if (key == field.key) inside += field.begin + escaped(value) + field.end;
  if (inside.empty()) return "";
  return "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF "
         "xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description rdf:about=\"\" "
         "xmlns:dc=\"http://purl.org/dc/elements/1.1/\" "
         "xmlns:Iptc4xmpExt=\"http://iptc.org/std/Iptc4xmpExt/2008-02-29/\">" +
         inside + "</rdf:Description></rdf:RDF></x:xmpmeta>";
}

std::map<std::string, std::string> metadata_of_xmp(std::string_view xmp) {
  std::map<std::string, std::string> metadata;
  for (const auto& field : fields) {
    const std::string_view opening = field.begin;
    auto begin = xmp.find(opening);
    if (begin == std::string_view::npos) continue;
    begin += opening.size();
    const auto end = xmp.find(field.end, begin);
    if (end != std::string_view::npos) metadata[field.key] = unescaped(xmp.substr(begin, end - begin));
  }
  return metadata;
}

uint32_t little_endian(std::string_view bytes, std::size_t at, int count) {
  uint32_t value = 0;
  for (int i = count - 1; i >= 0; --i)
    value = value << 8 | static_cast<uint8_t>(bytes[at + static_cast<std::size_t>(i)]);
  return value;
}

void append_little_endian(std::string& bytes, uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i));
}

std::string riff_chunk(std::string_view name, std::string_view bytes) {
  std::string chunk(name);
  append_little_endian(chunk, bytes.size(), 4);
  chunk += bytes;
  if (bytes.size() % 2 != 0) chunk += '\0';
  return chunk;
}

std::string with_xmp(const std::string& webp, int width, int height, const std::string& xmp) {
  if (xmp.empty()) return webp;
  auto body = webp.substr(riff_header);
  if (body.starts_with("VP8X")) {
    body[chunk_header] = static_cast<char>(body[chunk_header] | flag_xmp);
  } else {  // a single picture
    std::string header{flag_xmp, 0, 0, 0};
    append_little_endian(header, static_cast<uint64_t>(width - 1), 3);
    append_little_endian(header, static_cast<uint64_t>(height - 1), 3);
    body = riff_chunk("VP8X", header) + body;
  }
  return riff_chunk("RIFF", "WEBP" + body + riff_chunk("XMP ", xmp));
}

std::string with_end(std::string webp, uint32_t milliseconds) {
  constexpr std::size_t duration = 12;  // in an ANMF chunk, three bytes
  uint32_t begin = 0;
  std::size_t last = 0;
  for (auto at = riff_header; at + chunk_header <= webp.size();) {
    const std::size_t size = little_endian(webp, at + 4, 4);
    if (webp.compare(at, 4, "ANMF") == 0) {
      if (last != 0) begin += little_endian(webp, last, 3);
      last = at + chunk_header + duration;
    }
    at += chunk_header + size + size % 2;
  }
  if (last == 0 || milliseconds <= begin) return webp;
  std::string number;
  append_little_endian(number, milliseconds - begin, 3);
  return webp.replace(last, number.size(), number);
}

}  // namespace t2v
