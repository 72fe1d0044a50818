// The question whether text looks like UTF-8 that was read in another encoding.
#pragma once

#include <string_view>

namespace t2v {

// True when the text holds a sequence of characters that is far more likely to be a wrong decoding than
// meant. Source: ftfy 6.3, ftfy/badness.py (BADNESS_RE).
bool looks_wrongly_decoded(std::u32string_view text);

// The end of the run of sequences at `begin` that look like UTF-8 read in a single-byte encoding, or `begin`
// when there is none. Source: ftfy 6.3, ftfy/chardata.py (UTF8_DETECTOR_RE).
std::size_t end_of_utf8_lookalikes(std::u32string_view text, std::size_t begin);

}  // namespace t2v
