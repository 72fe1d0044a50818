// The chunks of a WebP file, and what they say in XMP. Source: WebP container specification.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace t2v {

// Title, comment and digital_source_type as XMP, of which the other keys have no place.
std::string xmp_of_metadata(const std::vector<std::pair<std::string, std::string>>& metadata);
// The same back; what is not there is left out.
std::map<std::string, std::string> metadata_of_xmp(std::string_view xmp);

// The file with a chunk of XMP at its end. width, height: of its pictures.
std::string with_xmp(const std::string& webp, int width, int height, const std::string& xmp);

// The animation with a last picture that stays until `milliseconds` after the beginning of the first; libwebp
// guesses how long. A file of a single picture is left as it is.
std::string with_end(std::string webp, uint32_t milliseconds);

uint32_t little_endian(std::string_view bytes, std::size_t at, int count);
void append_little_endian(std::string& bytes, uint64_t value, int count);
// Its name, its length, its bytes and what makes them even in number.
std::string riff_chunk(std::string_view name, std::string_view bytes);

}  // namespace t2v
