// Text and bytes inside an HTML page.
#pragma once

#include <string>
#include <string_view>

namespace t2v {

// `text` as the content of an element or of a quoted attribute: & < > " ' escaped, control characters and bad UTF-8 as printable() shows
// them.
std::string escape_html(std::string_view text);

// RFC 4648, with padding.
std::string base64(std::string_view bytes);

// "data:TYPE;base64,…"
std::string data_uri(std::string_view type, std::string_view bytes);

}  // namespace t2v
