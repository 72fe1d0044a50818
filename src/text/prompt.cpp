#include "text/prompt.h"

#include <algorithm>
#include <string_view>

#include "text/prompt_html.h"
#include "text/prompt_mojibake.h"
#include "text/unicode_text.h"

namespace t2v {
namespace {

constexpr std::size_t longest_segment = 1'000'000;  // characters that ftfy looks at together

struct Expansion {
  char32_t from;
  std::u32string_view to;
};

// Ligatures of Latin letters and the digraphs of old encodings; æ and œ are letters. Source:
// ftfy.chardata.LIGATURES.
constexpr Expansion ligatures[] = {
    {U'Ĳ', U"IJ"},  {U'ĳ', U"ij"},  {U'ŉ', U"ʼn"}, {U'Ǳ', U"DZ"}, {U'ǲ', U"Dz"}, {U'ǳ', U"dz"},
    {U'Ǆ', U"DŽ"},  {U'ǅ', U"Dž"},  {U'ǆ', U"dž"}, {U'Ǉ', U"LJ"}, {U'ǈ', U"Lj"}, {U'ǉ', U"lj"},
    {U'Ǌ', U"NJ"},  {U'ǋ', U"Nj"},  {U'ǌ', U"nj"}, {U'ﬀ', U"ff"}, {U'ﬁ', U"fi"}, {U'ﬂ', U"fl"},
    {U'ﬃ', U"ffi"}, {U'ﬄ', U"ffl"}, {U'ﬅ', U"ſt"}, {U'ﬆ', U"st"},
};

std::u32string fix_ligatures(const std::u32string& text) {
  std::u32string out;
  for (const auto code : text) {
    const auto* found = std::find_if(std::begin(ligatures), std::end(ligatures),
                                     [&](const Expansion& e) { return e.from == code; });
    if (found == std::end(ligatures)) {
      out.push_back(code);
    } else {
      out += found->to;
    }
  }
  return out;
}

// Full-width and half-width forms, and the ideographic space, to their usual width.
std::u32string fix_width(const std::u32string& text) {
  std::u32string out;
  for (const auto code : text) {
    if (code == 0x3000) {
      out.push_back(U' ');
    } else if (code >= 0xff01 && code <= 0xffef) {
      out += normalize_nfkc(std::u32string_view(&code, 1));
    } else {
      out.push_back(code);
    }
  }
  return out;
}

std::u32string uncurl_quotes(std::u32string text) {
  for (auto& code : text) {
    if (code >= 0x201c && code <= 0x201f) code = U'"';
    if (code == 0x02bc || (code >= 0x2018 && code <= 0x201b)) code = U'\'';
  }
  return text;
}

std::u32string fix_line_breaks(const std::u32string& text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto code = text[at];
    if (code == U'\r' && at + 1 < text.size() && text[at + 1] == U'\n') continue;
    const bool line_break = code == U'\r' || code == 0x2028 || code == 0x2029 || code == 0x85;
    out.push_back(line_break ? U'\n' : code);
  }
  return out;
}

// The colour and cursor sequences of terminals: ESC [ digits and semicolons, one letter. Digits are those of
// any script, as Python's \d.
std::u32string remove_terminal_escapes(const std::u32string& text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == 0x1b && at + 1 < text.size() && text[at + 1] == U'[') {
      auto end = at + 2;
      while (end < text.size() && (text[end] == U';' || is_decimal_digit(text[end]))) ++end;
      const auto letter = end < text.size() ? text[end] | 0x20 : 0;
      if (letter >= U'a' && letter <= U'z') {
        at = end + 1;
        continue;
      }
    }
    out.push_back(text[at++]);
  }
  return out;
}

// Control characters without use in text; those that break lines, C1 controls and joiners stay. Source:
// ftfy.chardata.CONTROL_CHARS.
std::u32string remove_control_characters(std::u32string text) {
  std::erase_if(text, [](char32_t c) {
    return c <= 0x08 || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f || (c >= 0x206a && c <= 0x206f) ||
           c == 0xfeff || (c >= 0xfff9 && c <= 0xfffc);
  });
  return text;
}

std::u32string fix_segment(std::u32string text, bool unescape_html) {
  for (;;) {
    auto fixed = unescape_html ? unescape_closed_references(text) : text;
    fixed = fix_c1_controls(fix_encoding(std::move(fixed)));
    fixed = fix_line_breaks(uncurl_quotes(fix_width(fix_ligatures(fixed))));
    fixed = normalize_nfc(remove_control_characters(remove_terminal_escapes(fixed)));
    if (fixed == text) return text;
    text = std::move(fixed);
  }
}

// ftfy's fix_text: line by line; from the first line with a '<' on, the text is taken for HTML, whose
// references stay.
std::u32string fix_text(const std::u32string& text) {
  std::u32string out;
  bool unescape_html = true;
  for (std::size_t at = 0; at < text.size();) {
    const auto newline = text.find(U'\n', at);
    const auto end = std::min(
        {newline == std::u32string::npos ? text.size() : newline + 1, at + longest_segment, text.size()});
    const auto segment = text.substr(at, end - at);
    if (segment.find(U'<') != std::u32string::npos) unescape_html = false;
    out += fix_segment(segment, unescape_html);
    at = end;
  }
  return out;
}

// Runs of white space to one space, none at the ends.
std::u32string collapse_white_space(const std::u32string& text) {
  std::u32string out;
  bool pending = false;
  for (const auto code : text) {
    if (is_python_space(code)) {
      pending = !out.empty();
      continue;
    }
    if (pending) out.push_back(U' ');
    pending = false;
    out.push_back(code);
  }
  return out;
}

}  // namespace

std::string clean_prompt(const std::string& prompt) {
  return encode_utf8(
      collapse_white_space(html_unescape(html_unescape(fix_text(require_utf8(prompt, "the prompt"))))));
}

}  // namespace t2v
