#include "models/encoders/t5_gguf.h"

#include <regex>
#include <utility>

#include "t2v/error.h"
#include "weights/gguf.h"

namespace t2v {

namespace {

// What the metadata should have under a key.
template <class Value>
Value required(const GgufFile& file, const std::string& key,
               Value (*read)(const GgufValue&, const std::string&, const std::string&)) {
  const auto* value = file.metadata(key);
  if (value == nullptr)
    throw Error(ErrorKind::bad_input, file.where() + ": has tokens, but not their '" + key + "'");
  return read(*value, key, file.where());
}

// Pieces that the converter adds so that there are as many as rows of the embedding.
bool is_filling(const SentencePiece& piece) {
  return piece.type == SentencePiece::unused && piece.text.starts_with("[PAD");
}

SentencePieceModel pieces_of(const GgufFile& file) {
  auto texts = required(file, "tokenizer.ggml.tokens", gguf_texts);
  const auto scores = required(file, "tokenizer.ggml.scores", gguf_numbers);
  const auto types = required(file, "tokenizer.ggml.token_type", gguf_integers);
  if (scores.size() != texts.size() || types.size() != texts.size())
    throw Error(ErrorKind::bad_input, file.where() + ": has " + std::to_string(texts.size()) +
                                          " tokens, but " + std::to_string(scores.size()) + " scores and " +
                                          std::to_string(types.size()) + " types of tokens");
  SentencePieceModel model;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (types[i] < SentencePiece::normal || types[i] > SentencePiece::byte)
      throw Error(ErrorKind::bad_input, file.where() + ": token " + std::to_string(i) + " has type " +
                                            std::to_string(types[i]) + "; 1 to 6 are known");
    SentencePiece piece{std::move(texts[i]), scores[i], static_cast<SentencePiece::Type>(types[i])};
    if (piece.type == SentencePiece::user_defined) piece.score = 0;  // as in a SentencePiece model
    model.pieces.push_back(std::move(piece));
  }
  while (!model.pieces.empty() && is_filling(model.pieces.back())) model.pieces.pop_back();
  if (const auto* map = file.metadata("tokenizer.ggml.precompiled_charsmap")) {
    if (!map->is_array || map->bytes.size() != map->count)
      throw Error(ErrorKind::bad_input,
                  file.where() + ": 'tokenizer.ggml.precompiled_charsmap' should be a list of bytes");
    model.character_map = map->bytes;
  }
  check_pieces(model.pieces, file.where());
  return model;
}

}  // namespace

std::string gguf_t5_name(const std::string& name) {
  if (name == "shared.weight") return "token_embd.weight";
  if (name == "encoder.final_layer_norm.weight") return "enc.output_norm.weight";
  static const std::regex block("encoder\\.block\\.([0-9]+)\\.layer\\.([01])\\.(.*)\\.weight");
  std::smatch match;
  if (!std::regex_match(name, match, block)) return name;
  static const std::pair<const char*, const char*> parts[] = {
      {"0.layer_norm", "attn_norm"},       {"0.SelfAttention.q", "attn_q"},
      {"0.SelfAttention.k", "attn_k"},     {"0.SelfAttention.v", "attn_v"},
      {"0.SelfAttention.o", "attn_o"},     {"0.SelfAttention.relative_attention_bias", "attn_rel_b"},
      {"1.layer_norm", "ffn_norm"},        {"1.DenseReluDense.wi_0", "ffn_gate"},
      {"1.DenseReluDense.wi_1", "ffn_up"}, {"1.DenseReluDense.wo", "ffn_down"}};
  const auto part = match[2].str() + "." + match[3].str();
  for (const auto& [here, there] : parts)
    if (part == here) return "enc.blk." + match[1].str() + "." + there + ".weight";
  return name;
}

std::unique_ptr<Tokenizer> load_gguf_tokenizer(const std::filesystem::path& path) {
  if (!is_gguf(path)) return nullptr;
  const auto file = GgufFile::open(path);
  if (file->metadata("tokenizer.ggml.tokens") == nullptr) return nullptr;
  const auto model = required(*file, "tokenizer.ggml.model", gguf_text);
  if (model != "t5")
    throw Error(ErrorKind::bad_input,
                file->where() + ": its tokenizer.ggml.model is '" + model + "'; a T5 encoder has 't5'");
  return make_t5_tokenizer(pieces_of(*file), file->where());
}

}  // namespace t2v
