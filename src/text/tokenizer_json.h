// tokenizer.json of the tokenizers library: all that a folder holds which transformers 5 has saved again.
#pragma once

#include <filesystem>

#include "text/tokenizer_model.h"

namespace t2v {

// The vocabulary, scores and character map of a Unigram tokenizer. Of the normalizers only the character map
// counts, and the pre-tokenizer is not read: transformers' T5Tokenizer puts its own in their place. Throws
// Error{bad_input} naming the file and what is wrong. Source: transformers 5 tokenization_t5.py,
// T5Tokenizer.__init__.
SentencePieceModel read_tokenizer_json(const std::filesystem::path& path);

}  // namespace t2v
