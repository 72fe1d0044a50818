// Text as code points, and the few character properties that prompt cleaning and tokenization need.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace t2v {

// Strict UTF-8: nothing for overlong forms, surrogates, values above U+10FFFF and cut sequences.
std::optional<std::u32string> decode_utf8(std::string_view bytes);

// Code points of `text`, which a caller must have checked. Throws Error{usage} naming `what` when it is not
// UTF-8.
std::u32string require_utf8(std::string_view text, const char* what);

void append_utf8(std::string& out, char32_t code);
std::string encode_utf8(std::u32string_view text);

// Unicode's White_Space property.
bool is_white_space(char32_t code);

// Python's str.isspace, str.strip and \s: White_Space and the four information separators U+001C to U+001F.
bool is_python_space(char32_t code);

// Decimal digits of any script: Python's str.isdecimal and \d.
bool is_decimal_digit(char32_t code);

// Python's \w: letters, characters with a numeric value, and the low line.
bool is_python_word(char32_t code);

// Normalization forms C and KC of the whole text.
std::u32string normalize_nfc(std::u32string_view text);
std::u32string normalize_nfkc(std::u32string_view text);

// Bytes of the first extended grapheme cluster of `text` (UTF-8, not empty). Source: Unicode Standard
// Annex 29.
std::size_t first_grapheme_bytes(std::string_view text);

// Bytes of the character that starts with `lead` in valid UTF-8.
std::size_t utf8_length(char lead);

}  // namespace t2v
