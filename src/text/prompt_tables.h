// Character tables of mojibake repair.
#pragma once

#include <array>
#include <span>

namespace t2v {

struct CharacterRange {
  char32_t first, last;
};
using CharacterRanges = std::span<const CharacterRange>;

// A single-byte encoding, ASCII below 0x80.
struct TextCodec {
  const char* name;
  std::array<char32_t, 129> high;  // the characters of bytes 0x80 to 0xFF, then of byte 0x1A
};

struct MojibakeTables {
  std::span<const TextCodec> codecs;  // in the order in which they are tried
  CharacterRanges common, c1, bad, law, currency, start_punctuation, end_punctuation, numeric, kaomoji,
      upper_accented, lower_accented, upper_common, lower_common, box;
  CharacterRanges utf8_first_of_2, utf8_first_of_3, utf8_first_of_4, utf8_continuation,
      utf8_continuation_strict;
};

const MojibakeTables& mojibake_tables();

}  // namespace t2v
