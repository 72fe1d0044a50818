// Repair of text whose UTF-8 was read in a single-byte encoding ("schÃ¶n" for "schön").
#pragma once

#include <string>

namespace t2v {

// Undoes wrong decodings until the text no longer looks like one. Source: ftfy 6.3 fix_encoding with its
// default configuration.
std::u32string fix_encoding(std::u32string text);

// C1 control characters as the Windows-1252 characters that they stand for. Source:
// ftfy.fixes.fix_c1_controls.
std::u32string fix_c1_controls(std::u32string text);

}  // namespace t2v
