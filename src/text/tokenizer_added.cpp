#include "text/tokenizer_added.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/file_status.h"
#include "base/json.h"
#include "t2v/error.h"
#include "text/unicode_text.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

constexpr int64_t most_extra_ids = 100'000;  // real tokenizers have at most 300
constexpr int64_t most_ids_above_pieces = 1 << 20;
constexpr int64_t unlisted = -1;

// An object; an empty one for a file that is not there.
Json read_if_present(const fs::path& path) {
  if (!is_there(path)) return Json::object();
  auto json = read_json(path);
  if (!json.is_object()) {
    throw Error(
        ErrorKind::bad_input,
        path.string() +
            ": expected a JSON object, found another value. Fetch the model's tokenizer folder again.");
  }
  return json;
}

// A token as its files write it: a string, or an object like {"content": "<pad>", "lstrip": false, ...}.
AddedToken parse_token(const Json& token, const std::string& where) {
  AddedToken parsed;
  parsed.id = unlisted;
  if (token.is_string()) {
    parsed.content = token.get<std::string>();
  } else {
    parsed.content = json_get<std::string>(token, "content", where);
    parsed.strip_left = json_get_or(token, "lstrip", false, where);
    parsed.strip_right = json_get_or(token, "rstrip", false, where);
    parsed.normalized = json_get_or(token, "normalized", !json_get_or(token, "special", true, where), where);
    if (json_get_or(token, "single_word", false, where)) {
      throw Error(ErrorKind::bad_input,
                  where + ": expected tokens that match anywhere, found single_word of \"" + parsed.content +
                      "\", which is not supported. Use the tokenizer that came with the model.");
    }
  }
  if (parsed.content.empty())
    throw Error(ErrorKind::bad_input,
                where + ": expected a token, found an empty one. Fetch the tokenizer folder again.");
  return parsed;
}

int64_t parse_id(const std::string& digits, const std::string& where) {
  const bool number = !digits.empty() && digits.size() < 10 &&
                      std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!number)
    throw Error(ErrorKind::bad_input, where + ": expected token ids as keys, found \"" + digits +
                                          "\". Fetch the tokenizer folder again.");
  return std::stoll(digits);
}

// Gathers tokens in transformers' order; the first mention of a token counts.
class TokenList {
 public:
  void add(AddedToken token) {
    if (contents_.insert(token.content).second) tokens_.push_back(std::move(token));
  }

  // Gives every token its id: that of the piece of this name, the listed one, or the next free one.
  std::vector<AddedToken> with_ids(const std::unordered_map<std::string, int64_t>& piece_ids,
                                   const std::string& where) && {
    const auto pieces = static_cast<int64_t>(piece_ids.size());
    auto next = pieces;
    for (auto& token : tokens_) {
      if (const auto piece = piece_ids.find(token.content); piece != piece_ids.end()) {
        token.id = piece->second;
      } else if (token.id == unlisted) {
        token.id = next;
      } else if (token.id < pieces || token.id > pieces + most_ids_above_pieces) {
        throw Error(ErrorKind::bad_input, where + ": expected ids from " + std::to_string(pieces) +
                                              " on for tokens that are not in spiece.model, found " +
                                              std::to_string(token.id) + " for \"" + token.content +
                                              "\". Fetch the tokenizer folder again.");
      }
      next = std::max(next, token.id + 1);
    }
    return std::move(tokens_);
  }

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_set<std::string> contents_;
};

void add_listed(TokenList& list, const Json& config, const fs::path& folder) {
  const auto config_name = (folder / "tokenizer_config.json").string(),
             tokenizer_name = (folder / "tokenizer.json").string();
  if (const auto decoder = config.find("added_tokens_decoder"); decoder != config.end()) {
    std::vector<AddedToken> tokens;
    for (const auto& [id, token] : decoder->items()) {
      tokens.push_back(parse_token(token, config_name));
      tokens.back().id = parse_id(id, config_name);
    }
    std::sort(tokens.begin(), tokens.end(),
              [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
    for (auto& token : tokens) list.add(std::move(token));
    return;
  }
  const auto tokenizer = read_if_present(tokenizer_name);
  for (const auto& token : json_get_or(tokenizer, "added_tokens", Json::array(), tokenizer_name)) {
    auto parsed = parse_token(token, tokenizer_name);
    parsed.id = json_get<int64_t>(token, "id", tokenizer_name);
    list.add(std::move(parsed));
  }
}

// Whether the folder lists extra tokens.
bool add_extra(TokenList& list, const Json& config, const std::string& where) {
  const auto* key = config.contains("extra_special_tokens") ? "extra_special_tokens"
                                                            : "additional_special_tokens";
  if (!config.contains(key) || config.at(key).is_null()) return false;
  for (const auto& token : config.at(key)) list.add(parse_token(token, where));
  return true;
}

// Control and user-defined pieces count as added tokens where the model file is all there is.
void add_pieces(TokenList& list, const SentencePieceModel& model) {
  for (const auto& piece : model.pieces) {
    if (piece.type == SentencePiece::control || piece.type == SentencePiece::user_defined)
      list.add({.content = piece.text, .id = unlisted});
  }
}

std::string extra_id(int64_t number) { return "<extra_id_" + std::to_string(number) + ">"; }

std::unordered_map<std::string, int64_t> ids_of_pieces(const SentencePieceModel& model) {
  std::unordered_map<std::string, int64_t> ids;
  for (std::size_t id = 0; id < model.pieces.size(); ++id)
    ids.emplace(model.pieces[id].text, static_cast<int64_t>(id));
  return ids;
}

// list: what the folder lists; only_model_file: without a tokenizer.json.
SpecialTokens special_tokens(TokenList list, const Json& config, const std::string& where,
                             SentencePieceModel& model, bool only_model_file) {
  const auto extra_ids = json_get_or<int64_t>(config, "extra_ids", 100, where);
  if (extra_ids < 0 || extra_ids > most_extra_ids) {
    throw Error(ErrorKind::bad_input, where + ": expected extra_ids from 0 to " +
                                          std::to_string(most_extra_ids) + ", found " +
                                          std::to_string(extra_ids) + ".");
  }
  if (only_model_file) {
    const auto known = ids_of_pieces(model);
    for (auto number = extra_ids - 1; number >= 0; --number) {
      if (!known.contains(extra_id(number))) model.pieces.push_back({.text = extra_id(number)});
    }
  }

  const auto named = [&](const char* key, const char* otherwise) {
    return parse_token(config.contains(key) && !config.at(key).is_null() ? config.at(key) : Json(otherwise), where);
  };
  const auto end = named("eos_token", "</s>"), unknown = named("unk_token", "<unk>"),
             pad = named("pad_token", "<pad>");
  for (const auto& token : {end, unknown, pad}) list.add(token);
  for (const auto* key : {"bos_token", "sep_token", "cls_token", "mask_token"}) {
    if (config.contains(key) && !config.at(key).is_null())
      list.add(parse_token(config.at(key), where));
  }
  if (!add_extra(list, config, where)) {
    if (only_model_file) add_pieces(list, model);
    for (int64_t number = 0; number < extra_ids; ++number)
      list.add({.content = extra_id(number), .id = unlisted});
  }

  SpecialTokens special{.added = std::move(list).with_ids(ids_of_pieces(model), where)};
  for (const auto& token : special.added) {
    if (token.content == end.content) special.end_id = token.id;
    if (token.content == pad.content) special.pad_id = token.id;
  }
  return special;
}

}  // namespace

SpecialTokens read_special_tokens(const fs::path& folder, SentencePieceModel& model) {
  const auto where = (folder / "tokenizer_config.json").string();
  auto config = read_if_present(where);
  if (!config.contains("added_tokens_decoder"))
    config.update(read_if_present(folder / "special_tokens_map.json"));
  TokenList listed;
  add_listed(listed, config, folder);
  return special_tokens(std::move(listed), config, where, model, !is_there(folder / "tokenizer.json"));
}

SpecialTokens default_special_tokens(SentencePieceModel& model, const std::string& where) {
  return special_tokens({}, Json::object({{"extra_ids", 0}}), where, model, true);
}

std::vector<Segment> split_at_tokens(std::string_view text, const std::vector<AddedToken>& tokens) {
  const auto longest_at = [&](std::size_t at) {
    const AddedToken* longest = nullptr;
    for (const auto& token : tokens) {
      if (text.substr(at).starts_with(token.content) &&
          (!longest || token.content.size() > longest->content.size()))
        longest = &token;
    }
    return longest;
  };
  const auto skip_space = [&](std::size_t at) {
    while (at < text.size()) {
      const auto length = utf8_length(text[at]);
      if (!is_white_space(decode_utf8(text.substr(at, length))->front())) break;
      at += length;
    }
    return at;
  };
  // The end of text[begin, end) without white space at its end.
  const auto trim_space = [&](std::size_t begin, std::size_t end) {
    auto trimmed = begin;
    for (auto at = begin; at < end;) {
      const auto length = utf8_length(text[at]);
      if (!is_white_space(decode_utf8(text.substr(at, length))->front())) trimmed = at + length;
      at += length;
    }
    return trimmed;
  };

  std::vector<Segment> segments;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto* token = longest_at(at);
    if (!token) {
      ++at;
      continue;
    }
    const auto text_end = token->strip_left ? trim_space(begin, std::max(begin, at)) : at;
    if (text_end > begin) segments.emplace_back(text.substr(begin, text_end - begin));
    segments.emplace_back(token);
    at += token->content.size();
    begin = token->strip_right ? skip_space(at) : at;
  }
  if (begin < text.size()) segments.emplace_back(text.substr(begin));
  return segments;
}

}  // namespace t2v
