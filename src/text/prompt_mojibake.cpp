#include "text/prompt_mojibake.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/prompt_badness.h"
#include "text/prompt_tables.h"
#include "text/unicode_text.h"

namespace t2v {
namespace {

using Bytes = std::string;

constexpr unsigned char substitute = 0x1a;  // the byte that stands for U+FFFD in the sloppy encodings

const TextCodec* find_codec(std::string_view name) {
  const auto all = mojibake_tables().codecs;
  return &*std::find_if(all.begin(), all.end(), [&](const TextCodec& codec) { return name == codec.name; });
}

// The bytes that decode to `text`, or nothing when one of its characters has none.
std::optional<Bytes> encode(const TextCodec& codec, const std::u32string& text) {
  std::unordered_map<char32_t, unsigned char> byte_of;
  for (std::size_t i = 0; i < 128; ++i) byte_of[codec.high[i]] = static_cast<unsigned char>(0x80 + i);
  byte_of[codec.high[128]] = substitute;
  Bytes bytes;
  bytes.reserve(text.size());
  for (const auto code : text) {
    if (code < 0x80 && code != substitute) {
      bytes.push_back(static_cast<char>(code));
    } else if (const auto found = byte_of.find(code); found != byte_of.end()) {
      bytes.push_back(static_cast<char>(found->second));
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

// A set of bytes, and patterns made of them.
struct ByteRange {
  unsigned char first, last;
};
using ByteSet = std::vector<ByteRange>;
using BytePattern = std::vector<ByteSet>;

bool in_set(const ByteSet& set, char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::any_of(set.begin(), set.end(),
                     [&](ByteRange range) { return byte >= range.first && byte <= range.last; });
}

// The length of the first pattern that matches at `at`, or 0.
std::size_t match_length(const std::vector<BytePattern>& patterns, const Bytes& bytes, std::size_t at) {
  for (const auto& pattern : patterns) {
    if (pattern.size() > bytes.size() - at) continue;
    std::size_t i = 0;
    while (i < pattern.size() && in_set(pattern[i], bytes[at + i])) ++i;
    if (i == pattern.size()) return i;
  }
  return 0;
}

Bytes replace_matches(const std::vector<BytePattern>& patterns, const Bytes& bytes,
                      const std::function<Bytes(Bytes)>& replace) {
  Bytes out;
  out.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = match_length(patterns, bytes, at);
    if (length == 0) {
      out.push_back(bytes[at++]);
    } else {
      out += replace(bytes.substr(at, length));
      at += length;
    }
  }
  return out;
}

// UTF-8 whose byte 0xA0 became a space. Three-byte sequences leave out what would decode to unlikely scripts.
// Source: ftfy ALTERED_UTF8_RE.
const std::vector<BytePattern>& spaced_sequences() {
  static const ByteSet space = {{' ', ' '}}, any_next = {{0x80, 0xbf}},
                       next = {{0x80, 0x84}, {0x86, 0x9f}, {0xa1, 0xbf}}, four = {{0xf0, 0xf0}};
  static const std::vector<BytePattern> patterns = {
      {{{0xc2, 0xc3}, {0xc5, 0xc5}, {0xce, 0xce}, {0xd0, 0xd0}, {0xd9, 0xd9}}, space},
      {{{0xe2, 0xe3}}, space, next},
      {{{0xe0, 0xe3}}, next, space},
      {four, space, any_next, any_next},
      {four, any_next, space, any_next},
      {four, any_next, any_next, space},
  };
  return patterns;
}

// UTF-8 and CESU-8 in which continuation bytes were lost: a substitute, or one question mark a sequence.
// Source: ftfy LOSSY_UTF8_RE.
const std::vector<BytePattern>& lossy_sequences() {
  static const ByteSet lost = {{substitute, substitute}}, mark = {{substitute, substitute}, {'?', '?'}};
  static const ByteSet next = {{substitute, substitute}, {0x80, 0xbf}},
                       any = {{substitute, substitute}, {'?', '?'}, {0x80, 0xbf}};
  static const ByteSet surrogate = {{0xed, 0xed}}, high = {{0xa0, 0xaf}}, low = {{0xb0, 0xbf}},
                       three = {{0xe0, 0xef}}, four = {{0xf0, 0xf4}};
  static const std::vector<BytePattern> patterns = {
      {{{0xc2, 0xdf}}, lost},
      {{{0xc2, 0xc3}}, {{'?', '?'}}},
      {surrogate, high, mark, surrogate, low, any},
      {surrogate, high, any, surrogate, low, mark},
      {three, mark, next},
      {three, next, mark},
      {four, mark, next, next},
      {four, next, mark, next},
      {four, next, next, mark},
      {lost},
  };
  return patterns;
}

// "Ã " that is a word of its own was "à "; the Portuguese words àquele, àquela, àquilo and às keep theirs.
// Source: ftfy A_GRAVE_WORD_RE.
Bytes restore_a_grave(const Bytes& bytes) {
  Bytes out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view rest = std::string_view(bytes).substr(at);
    const auto after = rest.substr(std::min<std::size_t>(2, rest.size()));
    const bool portuguese = after.starts_with("quele") || after.starts_with("quela") ||
                            after.starts_with("quilo") || after.starts_with("s ");
    if (rest.starts_with("\xc3 ") && !after.starts_with(' ') && !portuguese) {
      out += "\xc3\xa0 ";
      at += 2;
    } else {
      out.push_back(bytes[at++]);
    }
  }
  return out;
}

Bytes restore_byte_a0(const Bytes& bytes) {
  return replace_matches(spaced_sequences(), restore_a_grave(bytes), [](Bytes sequence) {
    std::replace(sequence.begin(), sequence.end(), ' ', '\xa0');
    return sequence;
  });
}

bool has_spaced_sequence(const Bytes& bytes) {
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (match_length(spaced_sequences(), bytes, at) > 0) return true;
  }
  return false;
}

// UTF-8, and where it holds byte 0xC0 or 0xED also Java's NUL (C0 80) and CESU-8's surrogate pairs, which are
// made UTF-8 first. Source: ftfy/bad_codecs/utf8_variants.py. (A final "\xC0\n" is a NUL too, since that
// module's expression ends in `$`.)
std::optional<std::u32string> decode_utf8_variants(const Bytes& bytes) {
  if (bytes.find_first_of("\xc0\xed") == Bytes::npos) return decode_utf8(bytes);
  const auto in = [&](std::size_t at, unsigned first, unsigned last) {
    return at < bytes.size() && static_cast<unsigned char>(bytes[at]) >= first &&
           static_cast<unsigned char>(bytes[at]) <= last;
  };
  const auto bits = [&](std::size_t at, unsigned mask) {
    return static_cast<unsigned char>(bytes[at]) & mask;
  };
  Bytes plain;
  for (std::size_t at = 0; at < bytes.size();) {
    const bool pair = in(at, 0xed, 0xed) && in(at + 1, 0xa0, 0xaf) && in(at + 2, 0x80, 0xbf) &&
                      in(at + 3, 0xed, 0xed) && in(at + 4, 0xb0, 0xbf) && in(at + 5, 0x80, 0xbf);
    if (pair) {
      append_utf8(plain, 0x10000 + (bits(at + 1, 0x0f) << 16) + (bits(at + 2, 0x3f) << 10) +
                             (bits(at + 4, 0x0f) << 6) + bits(at + 5, 0x3f));
      at += 6;
    } else if (in(at, 0xc0, 0xc0) &&
               (in(at + 1, 0x80, 0x80) || (in(at + 1, '\n', '\n') && at + 2 == bytes.size()))) {
      plain.push_back('\0');
      at += 2;
    } else {
      plain.push_back(bytes[at++]);
    }
  }
  return decode_utf8(plain);
}

// The text that was read in `codec` although it was UTF-8, or nothing when its bytes are no UTF-8.
std::optional<std::u32string> undo(const TextCodec& codec, Bytes bytes) {
  const std::string_view name = codec.name;
  // In MacRoman these would match an en dash with a space after it.
  if (name != "macroman" && has_spaced_sequence(bytes)) bytes = restore_byte_a0(bytes);
  if (name.starts_with("sloppy")) {
    bytes = replace_matches(lossy_sequences(), bytes, [](const Bytes&) { return Bytes("\xef\xbf\xbd"); });
  }
  return decode_utf8_variants(bytes);
}

// Repairs the parts that look like UTF-8 by themselves, in text that is not wrong as a whole. Source:
// ftfy.fixes.decode_inconsistent_utf8.
std::u32string repair_parts(const std::u32string& text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = end_of_utf8_lookalikes(text, at);
    if (end == at) {
      out.push_back(text[at++]);
      continue;
    }
    const auto part = text.substr(at, end - at);
    out += part.size() < text.size() && looks_wrongly_decoded(part) ? fix_encoding(part) : part;
    at = end;
  }
  return out;
}

std::u32string fix_encoding_once(const std::u32string& text) {
  const bool ascii = std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x80; });
  if (ascii || !looks_wrongly_decoded(text)) return text;
  for (const auto& codec : mojibake_tables().codecs) {
    const auto bytes = encode(codec, text);
    if (!bytes) continue;
    if (auto fixed = undo(codec, *bytes)) return *fixed;
  }
  if (auto fixed = repair_parts(text); fixed != text) return fixed;
  return fix_c1_controls(text);  // what remains is Latin-1 that was Windows-1252, or is left alone
}

}  // namespace

std::u32string fix_encoding(std::u32string text) {
  for (;;) {
    auto fixed = fix_encoding_once(text);
    if (fixed == text) return text;
    text = std::move(fixed);
  }
}

std::u32string fix_c1_controls(std::u32string text) {
  static const auto* windows_1252 = find_codec("sloppy-windows-1252");
  for (auto& code : text) {
    if (code >= 0x80 && code <= 0x9f) code = windows_1252->high[code - 0x80];
  }
  return text;
}

}  // namespace t2v
