// A tokenizer of its own for a model: SentencePiece's Unigram trainer on the captions.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace t2v {

struct TrainedTokenizer {
  std::string model;       // spiece.model
  int64_t pieces = 0;      // <pad>, </s> and <unk> (ids 0, 1 and 2, as T5 has them) included
  int64_t vocab_size = 0;  // that the text encoder should have: as asked for, or the pieces
};

// Trains `vocab_size` pieces (a few less where SentencePiece, which takes away many at once, passes by that
// number) on captions as clean_prompt leaves them, or without it as many as they give, up to 8192; the same
// captions give the same bytes. Throws Error{usage}, naming the sizes that would fit, when the captions have
// more characters or fewer pieces than that; `where` begins the message. Source: Kudo 2018, section 3.2;
// normalised by SentencePiece's nmt_nfkc rules, as T5's.
TrainedTokenizer train_tokenizer(const std::vector<std::string>& captions, std::optional<int64_t> vocab_size,
                                 const std::string& where);

// The embedding with which a text encoder goes on from the tokenizer `before` to the one that was trained:
// float32 [vocab_size, d] from [V, d]. A piece gets the mean of the rows of what its text was before; <pad>,
// </s> and <unk> keep theirs. After Gee et al. 2022, "Fast Vocabulary Transfer for Language Model
// Compression", section 3.
at::Tensor embedding_for(const TrainedTokenizer& trained, const Tokenizer& before,
                         const at::Tensor& embedding);

// Makes `folder` hold this tokenizer and nothing else: spiece.model and tokenizer_config.json, which
// transformers' T5Tokenizer reads. Throws Error{output}.
void write_tokenizer(const std::filesystem::path& folder, const TrainedTokenizer& tokenizer);

// The different words of the captions, in alphabetical order (by their bytes); none when there are more than
// `most`.
std::vector<std::string> words_of_captions(const std::vector<std::string>& captions, std::size_t most);

}  // namespace t2v
