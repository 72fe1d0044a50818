// SentencePiece model files (spiece.model), as far as a Unigram tokenizer needs them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace t2v {

struct SentencePiece {
  // sentencepiece_model.proto, ModelProto.SentencePiece.Type
  enum Type : uint32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

  std::string text;  // UTF-8, not empty; "▁" stands for a space
  double score = 0;  // log probability
  Type type = normal;
};

struct SentencePieceModel {
  std::vector<SentencePiece> pieces;  // by id
  std::string character_map;          // normalizer_spec.precompiled_charsmap, may be empty
};

// Reads and checks a model file that nobody vouches for. Throws Error{bad_input} naming the file: unreadable,
// longer than 256 MiB, no protocol buffer, no pieces, an empty, repeated or non-UTF-8 piece, a score that is
// not finite, an unknown type, or a model that is not of type Unigram.
SentencePieceModel read_sentencepiece_model(const std::filesystem::path& path);
// The same of its bytes; messages name `path`.
SentencePieceModel parse_sentencepiece_model(std::string_view bytes, const std::filesystem::path& path);

// What both formats ask of pieces: at least one, none empty, repeated or not UTF-8, finite scores. Throws
// Error{bad_input}.
void check_pieces(const std::vector<SentencePiece>& pieces, const std::filesystem::path& path);

}  // namespace t2v
