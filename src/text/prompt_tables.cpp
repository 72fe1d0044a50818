#include "text/prompt_tables.h"

namespace t2v {
namespace {

#include "text/prompt_tables.inc"

}  // namespace

const MojibakeTables& mojibake_tables() {
  static const MojibakeTables tables = {
      .codecs = codecs,
      .common = common_characters,
      .c1 = c1_characters,
      .bad = bad_characters,
      .law = law_characters,
      .currency = currency_characters,
      .start_punctuation = start_punctuation_characters,
      .end_punctuation = end_punctuation_characters,
      .numeric = numeric_characters,
      .kaomoji = kaomoji_characters,
      .upper_accented = upper_accented_characters,
      .lower_accented = lower_accented_characters,
      .upper_common = upper_common_characters,
      .lower_common = lower_common_characters,
      .box = box_characters,
      .utf8_first_of_2 = utf8_first_of_2,
      .utf8_first_of_3 = utf8_first_of_3,
      .utf8_first_of_4 = utf8_first_of_4,
      .utf8_continuation = utf8_continuation,
      .utf8_continuation_strict = utf8_continuation_strict,
  };
  return tables;
}

}  // namespace t2v
