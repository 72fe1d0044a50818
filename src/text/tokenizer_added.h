// Added tokens: strings that are taken out of a text before the model sees it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/tokenizer_model.h"

namespace t2v {

struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool strip_left = false, strip_right = false;  // takes the white space beside it along
  bool normalized = false;                       // looked for after normalization rather than before
};

struct SpecialTokens {
  std::vector<AddedToken> added;
  int64_t end_id = 0, pad_id = 0;
};

// The added tokens of a tokenizer folder as transformers' T5Tokenizer collects them: added_tokens_decoder of
// tokenizer_config.json, or else those of tokenizer.json; then the named special tokens (also
// special_tokens_map.json) and the extra ones; then <extra_id_0>... . Without a tokenizer.json the extra ids
// become pieces of `model`, as there. Not read: added_tokens.json. Throws Error{bad_input} naming the file
// for a token that is no token, an id out of range, `single_word`, or a missing end or padding token.
SpecialTokens read_special_tokens(const std::filesystem::path& folder, SentencePieceModel& model);
// The same where there is nothing but the model, whose pieces are all there are.
SpecialTokens default_special_tokens(SentencePieceModel& model, const std::string& where);

// Text, or the added token found there.
using Segment = std::variant<std::string_view, const AddedToken*>;

// Splits `text` at the tokens: from left to right, the longest first. Source: tokenizers (Rust),
// added_vocabulary.rs.
std::vector<Segment> split_at_tokens(std::string_view text, const std::vector<AddedToken>& tokens);

}  // namespace t2v
