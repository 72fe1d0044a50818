#include "text/prompt_badness.h"

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "text/prompt_tables.h"
#include "text/unicode_text.h"

namespace t2v {
namespace {

// Kinds of characters; a character may be of several.
enum Kind : uint32_t {
  common = 1 << 0,
  c1 = 1 << 1,
  bad = 1 << 2,
  law = 1 << 3,
  currency = 1 << 4,
  opening = 1 << 5,
  closing = 1 << 6,
  numeric = 1 << 7,
  kaomoji = 1 << 8,
  upper_accented = 1 << 9,
  lower_accented = 1 << 10,
  upper_common = 1 << 11,
  lower_common = 1 << 12,
  box = 1 << 13,
  utf8_lead_of_2 = 1 << 14,
  utf8_lead_of_3 = 1 << 15,
  utf8_lead_of_4 = 1 << 16,
  utf8_next = 1 << 17,
  utf8_next_strict = 1 << 18,
  // Not in the tables:
  ascii_lower = 1 << 19,
  ascii_upper = 1 << 20,
  not_ascii_letter = 1 << 21,
  space = 1 << 22,
  word = 1 << 23,
  not_newline = 1 << 24,
};
constexpr uint32_t accented = lower_accented | upper_accented;
constexpr uint32_t ascii_letter = ascii_lower | ascii_upper;
constexpr uint32_t quotation = opening | closing;

std::unordered_map<char32_t, uint32_t> table_of_kinds() {
  std::unordered_map<char32_t, uint32_t> kinds;
  const auto add = [&](CharacterRanges ranges, uint32_t kind) {
    for (const auto& [first, last] : ranges) {
      for (auto code = first; code <= last; ++code) kinds[code] |= kind;
    }
  };
  const auto& table = mojibake_tables();
  add(table.common, common);
  add(table.c1, c1);
  add(table.bad, bad);
  add(table.law, law);
  add(table.currency, currency);
  add(table.start_punctuation, opening);
  add(table.end_punctuation, closing);
  add(table.numeric, numeric);
  add(table.kaomoji, kaomoji);
  add(table.upper_accented, upper_accented);
  add(table.lower_accented, lower_accented);
  add(table.upper_common, upper_common);
  add(table.lower_common, lower_common);
  add(table.box, box);
  add(table.utf8_first_of_2, utf8_lead_of_2);
  add(table.utf8_first_of_3, utf8_lead_of_3);
  add(table.utf8_first_of_4, utf8_lead_of_4);
  add(table.utf8_continuation, utf8_next);
  add(table.utf8_continuation_strict, utf8_next_strict);
  return kinds;
}

uint32_t kinds_of(char32_t code) {
  static const auto table = table_of_kinds();
  const auto found = table.find(code);
  uint32_t kinds = found == table.end() ? 0 : found->second;
  if (code >= U'a' && code <= U'z') kinds |= ascii_lower;
  if (code >= U'A' && code <= U'Z') kinds |= ascii_upper;
  if (!(kinds & ascii_letter)) kinds |= not_ascii_letter;
  if (is_python_space(code)) kinds |= space;
  if (is_python_word(code)) kinds |= word;
  if (code != U'\n') kinds |= not_newline;
  return kinds;
}

// One place of a rule: a character of one of these kinds, or one of these characters.
struct Place {
  uint32_t kinds = 0;
  std::u32string_view characters = {};
};
using Rule = std::vector<Place>;

constexpr std::u32string_view a_or_tilde = U"ÃÂ", arabic_lead = U"ØÙ", cyrillic_lead = U"ВГРС",
                              greek_lead = U"ΒΓΞΟ", blank = U" ";
constexpr uint32_t arabic_next = common | currency | bad | numeric | opening;
constexpr std::u32string_view arabic_next_characters = U"ŸŠ®°µ»";

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = {
      {{c1}},
      {{bad | accented | box | quotation | currency | numeric | law}, {bad}},
      {{ascii_letter}, {lower_common | upper_common}, {bad}},
      {{bad}, {accented | box | quotation | currency | numeric | law}},
      {{lower_accented | lower_common | box | closing | currency | numeric}, {upper_accented}},
      {{box | closing | currency | numeric}, {lower_accented}},
      {{lower_accented | box | closing}, {currency}},
      {{space}, {upper_accented}, {currency}},
      {{upper_accented | box}, {numeric | law}},
      {{accented | box | currency | closing}, {opening}, {numeric}},
      {{accented | currency | numeric | box | law}, {closing}, {opening}},
      {{currency | numeric | box}, {opening}},
      {{ascii_lower}, {upper_accented}, {opening | currency}},
      {{box}, {kaomoji}},
      {{accented | currency | numeric | quotation | law}, {box}},
      {{box}, {closing}},
      {{accented}, {quotation}, {word}},
      {{0, U"Œœ"}, {not_ascii_letter}},
      {{upper_accented}, {0, U"°"}},
      // Windows-1252, two characters
      {{0, U"ÂÃÎÐ"}, {quotation, U"€œŠš¢£Ÿž\u00a0\u00ad®©°·»–—´"}},
      {{0, U"×"}, {0, U"²³"}},
      // Windows-1252 of Arabic: common characters count, so four of them are asked for
      {{0, arabic_lead},
       {arabic_next, arabic_next_characters},
       {0, arabic_lead},
       {arabic_next, arabic_next_characters}},
      // Windows-1252 of South Asian scripts
      {{0, U"à"}, {0, U"²µ¹¼½¾"}},
      // MacRoman
      {{0, U"√"}, {0, U"±∂†≠®™´≤≥¥µø"}},
      {{0, U"≈"}, {0, U"°¢"}},
      {{0, U"‚"}, {0, U"Ä"}, {0, U"ìîïòôúùû†°¢π"}},
      {{0, U"‚"}, {0, U"âó"}, {0, U"àä°ê"}},
      // Windows-1251
      {{0, U"в"}, {0, U"Ђ"}},
      {{0, cyrillic_lead}, {c1 | bad | quotation | currency, U"°µ"}, {0, cyrillic_lead}},
      {{0, U"Г"}, {0, U"ў"}, {0, U"В"}, {0, U"Ђ"}, {0, U"В"}, {not_newline}, {ascii_letter, blank}},
      // Windows-1252 of à, á and the no-break space
      {{0, U"Ã"}, {0, U"\u00a0¡"}},
      {{ascii_lower}, {0, a_or_tilde}, {0, blank}},
      {{ascii_lower}, {space}, {0, a_or_tilde}, {0, blank}},
      // Â before a character that stands for itself
      {{ascii_lower | closing, U".,?!"}, {0, U"Â"}, {quotation, blank}},
      // Windows-1253
      {{0, U"β"}, {0, U"€"}, {0, U"™\u00a0Ά\u00ad®°"}},
      {{0, greek_lead}, {c1 | bad | quotation | currency, U"°"}, {0, greek_lead}},
      // Windows-1257
      {{0, U"ā"}, {0, U"€"}},
  };
  return all;
}

bool matches(const Rule& rule, std::u32string_view text, const std::vector<uint32_t>& kinds, std::size_t at) {
  if (rule.size() > text.size() - at) return false;
  for (std::size_t i = 0; i < rule.size(); ++i) {
    if (!(kinds[at + i] & rule[i].kinds) &&
        rule[i].characters.find(text[at + i]) == std::u32string_view::npos)
      return false;
  }
  return true;
}

}  // namespace

bool looks_wrongly_decoded(std::u32string_view text) {
  if (text.size() >= 2 && a_or_tilde.find(text[0]) != std::u32string_view::npos && text[1] == U' ')
    return true;
  std::vector<uint32_t> kinds;
  kinds.reserve(text.size());
  for (const auto code : text) kinds.push_back(kinds_of(code));
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const auto& rule : rules()) {
      if (matches(rule, text, kinds, at)) return true;
    }
  }
  return false;
}

std::size_t end_of_utf8_lookalikes(std::u32string_view text, std::size_t begin) {
  if (begin > 0 && (kinds_of(text[begin - 1]) & utf8_next_strict)) return begin;
  const auto sequence_at = [&](std::size_t at, uint32_t first, std::size_t length) {
    if (text.size() - at < length || !(kinds_of(text[at]) & first)) return false;
    for (std::size_t i = 1; i < length; ++i) {
      if (!(kinds_of(text[at + i]) & utf8_next)) return false;
    }
    return true;
  };
  auto end = begin;
  while (end < text.size()) {
    if (sequence_at(end, utf8_lead_of_2, 2)) {
      end += 2;
    } else if (sequence_at(end, utf8_lead_of_3, 3)) {
      end += 3;
    } else if (sequence_at(end, utf8_lead_of_4, 4)) {
      end += 4;
    } else {
      break;
    }
  }
  return end;
}

}  // namespace t2v
