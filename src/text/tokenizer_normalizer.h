// The character map of SentencePiece models, applied as transformers applies it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace t2v {

// Source: tokenizers (Rust), normalizers/precompiled.rs and spm_precompiled; the map is a Darts-clone double
// array followed by the replacements.
class CharacterMap {
 public:
  // `map` as in the model file; empty for a map that changes nothing. Throws Error{bad_input} naming `where`
  // when its length contradicts itself.
  CharacterMap(std::string_view map, const std::string& where);

  // `text` is valid UTF-8. Per grapheme cluster of fewer than 6 bytes the whole cluster is replaced when some
  // prefix of it is in the map (the shortest one decides, and the rest of the cluster is dropped); otherwise
  // each character by itself.
  std::string normalize(std::string_view text) const;

 private:
  std::optional<std::string_view> replacement(std::string_view key) const;

  std::vector<uint32_t> units_;
  std::string replacements_;  // each ends with NUL
};

}  // namespace t2v
