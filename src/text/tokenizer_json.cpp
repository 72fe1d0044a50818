#include "text/tokenizer_json.h"

#include <cmath>
#include <optional>
#include <string_view>

#include "base/json.h"

namespace t2v {
namespace {

[[noreturn]] void refuse_json(const std::filesystem::path& path, const std::string& found) {
  throw Error(ErrorKind::bad_input, path.string() + ": expected a Unigram tokenizer, found " + found +
                                        ". Fetch the model's tokenizer folder again.");
}

// RFC 4648, with padding.
std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const auto value = alphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xFFU);
    }
  }
  return bytes;
}

// The character map of a normalizer, or of the one among several that has it.
std::string character_map(const Json& normalizer, const std::filesystem::path& path) {
  if (!normalizer.is_object()) return "";
  if (normalizer.contains("precompiled_charsmap") && !normalizer["precompiled_charsmap"].is_null()) {
    auto bytes = decode_base64(json_get<std::string>(normalizer, "precompiled_charsmap", path.string()));
    if (!bytes) refuse_json(path, "a 'precompiled_charsmap' that is not base64");
    return *std::move(bytes);
  }
  for (const auto& part : json_get_or(normalizer, "normalizers", Json::array(), path.string())) {
    if (auto map = character_map(part, path); !map.empty()) return map;
  }
  return "";
}

}  // namespace

SentencePieceModel read_tokenizer_json(const std::filesystem::path& path) {
  const auto json = read_json(path);
  const auto model = json_get<Json>(json, "model", path.string());
  const auto type = json_get_or<std::string>(model, "type", "Unigram", path.string());
  if (type != "Unigram") refuse_json(path, "the model type '" + type + "'");
  const auto vocabulary = json_get<Json>(model, "vocab", path.string());
  if (!vocabulary.is_array()) refuse_json(path, "a 'vocab' that is no list of [piece, score]");
  SentencePieceModel result;
  for (const auto& entry : vocabulary) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      refuse_json(path, "in 'vocab', at " + std::to_string(result.pieces.size()) +
                            ", no pair of a piece and its score");
    result.pieces.push_back({.text = entry[0].get<std::string>(), .score = entry[1].get<double>()});
  }
  check_pieces(result.pieces, path);
  result.character_map = character_map(json.value("normalizer", Json()), path);
  return result;
}

}  // namespace t2v
