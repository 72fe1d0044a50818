// HTML character references in prompts.
#pragma once

#include <string>

namespace t2v {

// HTML5's rules: named references with or without their semicolon (longest known name first), decimal and
// hexadecimal ones. Source: Python's html.unescape.
std::u32string html_unescape(const std::u32string& text);

// Only references that end in a semicolon; also lower-case names written in capitals (&EACUTE;). Source:
// ftfy.fixes.unescape_html.
std::u32string unescape_closed_references(const std::u32string& text);

}  // namespace t2v
