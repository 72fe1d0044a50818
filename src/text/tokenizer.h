// SentencePiece tokenizer with T5's conventions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer_model.h"

namespace t2v {

struct TokenIds {
  std::vector<int64_t> ids;      // ends with </s>; not padded
  std::size_t tokens_in_prompt;  // before cutting, </s> included; > ids.size() when the prompt was cut
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Cuts to at most `max_tokens` ids, keeping </s> as the last. Equal to transformers' T5Tokenizer(text,
  // truncation=True, max_length=max_tokens).
  virtual TokenIds encode(const std::string& text, std::size_t max_tokens) const = 0;
  // One above the largest id that encode() can give.
  virtual int64_t vocabulary_size() const = 0;
  virtual int64_t pad_id() const = 0;
};

// Reads a diffusers tokenizer folder: spiece.model (or, where that is absent, tokenizer.json) and, where
// present, tokenizer.json / tokenizer_config.json / special_tokens_map.json for the added tokens. No file is
// trusted. Throws Error{bad_input} naming the file.
//
// Note: [Not SentencePiece's own segmentation]
// transformers 5 builds a Unigram model of its own from the pieces, which differs from the SentencePiece
// library: characters outside the vocabulary become <unk> (id 2; neighbours are joined) instead of bytes,
// "<0x41>" in a text is a piece, the character map works per grapheme cluster, scores are added in double
// precision, and added tokens are cut out of the text first. Source: transformers 5.23 tokenization_t5.py;
// tokenizers 0.23 (Rust).
std::unique_ptr<Tokenizer> load_t5_tokenizer(const std::filesystem::path& folder);

// The same from a model that check_pieces() has passed and that nothing stands beside, as in a folder with
// spiece.model alone. Throws Error{bad_input} naming `where`.
std::unique_ptr<Tokenizer> make_t5_tokenizer(SentencePieceModel model, const std::string& where);

}  // namespace t2v
