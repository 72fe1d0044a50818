// Text and bytes inside an HTML page.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace t2v {

// `text` as the content of an element or of a quoted attribute: & < > " ' escaped, control characters and bad
// UTF-8 as printable() shows them. Characters that would reorder what stands around them (U+202A to U+202E,
// U+2066 to U+2069: Unicode TR 36, 2.12) become U+FFFD too; right-to-left scripts need none of them.
std::string escape_html(std::string_view text);

// RFC 4648, with padding.
std::string base64(std::string_view bytes);

// "data:TYPE;base64,…"
std::string data_uri(std::string_view type, std::string_view bytes);

// The same of a whole file; of one that cannot be read, without bytes.
std::string data_uri_of_file(std::string_view type, const std::filesystem::path& path);

}  // namespace t2v
