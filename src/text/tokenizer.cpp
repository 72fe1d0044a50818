#include "text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string_view>

#include "base/file_status.h"
#include "t2v/error.h"
#include "text/tokenizer_added.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_model.h"
#include "text/tokenizer_normalizer.h"
#include "text/unicode_text.h"

namespace t2v {
namespace {

// transformers' T5Tokenizer calls its Unigram model with unk_id=2, whichever piece is marked as unknown in
// the model file.
constexpr int64_t unknown_id = 2;
constexpr double unknown_penalty = 10;  // below the least likely piece
constexpr std::string_view space_mark = "▁";

// The pieces sorted by their bytes, to find those that begin a text.
class PieceIndex {
 public:
  explicit PieceIndex(std::vector<SentencePiece> pieces)
      : pieces_(std::move(pieces)), order_(pieces_.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::sort(order_.begin(), order_.end(),
              [&](std::size_t a, std::size_t b) { return pieces_[a].text < pieces_[b].text; });
    for (const auto& piece : pieces_) least_score_ = std::min(least_score_, piece.score);
  }

  // Calls visit(id, bytes) for every piece that `text` begins with, shortest first.
  template <class Visit>
  void for_prefixes(std::string_view text, Visit visit) const {
    auto first = order_.begin(), last = order_.end();
    for (std::size_t depth = 0; depth < text.size() && first != last; ++depth) {
      // The pieces in [first, last) share text[0, depth); those that end there come first and were visited.
      const auto byte_before = [&](std::size_t id, char byte) {
        return key(id, depth) < static_cast<unsigned char>(byte);
      };
      const auto byte_after = [&](char byte, std::size_t id) {
        return static_cast<unsigned char>(byte) < key(id, depth);
      };
      first = std::lower_bound(first, last, text[depth], byte_before);
      last = std::upper_bound(first, last, text[depth], byte_after);
      if (first != last && pieces_[*first].text.size() == depth + 1) visit(*first, depth + 1);
    }
  }

  // The id of the piece `text`, or unknown_id.
  int64_t id_of(std::string_view text) const {
    const auto before = [&](std::size_t id, std::string_view t) { return pieces_[id].text < t; };
    const auto found = std::lower_bound(order_.begin(), order_.end(), text, before);
    return found != order_.end() && pieces_[*found].text == text ? static_cast<int64_t>(*found) : unknown_id;
  }

  double score(std::size_t id) const { return pieces_[id].score; }
  double unknown_score() const { return least_score_ - unknown_penalty; }
  std::size_t size() const { return pieces_.size(); }

 private:
  // The byte at `depth`, -1 for a piece that ends before.
  int key(std::size_t id, std::size_t depth) const {
    const auto& text = pieces_[id].text;
    return depth < text.size() ? static_cast<unsigned char>(text[depth]) : -1;
  }

  std::vector<SentencePiece> pieces_;
  std::vector<std::size_t> order_;
  double least_score_ = std::numeric_limits<double>::infinity();
};

// Appends the ids of the most likely segmentation of `word`; neighbouring unknown characters are one unknown
// token. Source: Kudo 2018, section 3.2 (Viterbi); tokenizers (Rust), models/unigram/model.rs,
// encode_optimized.
void append_word(const PieceIndex& pieces, std::string_view word, std::vector<int64_t>& ids) {
  struct Node {
    double score = 0;
    std::size_t begin = 0;
    int64_t id = -1;  // nothing ends here yet
  };
  std::vector<Node> ends(word.size() + 1);  // the best segmentation of word[0, i)
  const auto offer = [&](std::size_t begin, std::size_t end, int64_t id, double score) {
    if (ends[end].id < 0 || score > ends[end].score) ends[end] = {score, begin, id};
  };
  for (std::size_t at = 0; at < word.size();) {
    const auto character = utf8_length(word[at]);
    const auto so_far = ends[at].score;
    bool known = false;
    pieces.for_prefixes(word.substr(at), [&](std::size_t id, std::size_t length) {
      offer(at, at + length, static_cast<int64_t>(id), pieces.score(id) + so_far);
      known = known || length == character;
    });
    if (!known) offer(at, at + character, unknown_id, pieces.unknown_score() + so_far);
    at += character;
  }

  std::vector<int64_t> reversed;
  for (auto end = word.size(); end > 0;) {
    auto begin = ends[end].begin;
    if (ends[end].id != unknown_id) {
      reversed.push_back(ends[end].id);
    } else {
      while (begin > 0 && ends[begin].id == unknown_id) begin = ends[begin].begin;
      reversed.push_back(pieces.id_of(word.substr(begin, end - begin)));  // as there: the joined characters
                                                                          // may be a piece after all
    }
    end = begin;
  }
  ids.insert(ids.end(), reversed.rbegin(), reversed.rend());
}

class T5Tokenizer : public Tokenizer {
 public:
  T5Tokenizer(SentencePieceModel model, SpecialTokens special, const std::string& where)
      : map_(model.character_map, where),
        pieces_(std::move(model.pieces)),
        end_id_(special.end_id),
        pad_id_(special.pad_id) {
    vocabulary_size_ = static_cast<int64_t>(pieces_.size());
    for (auto& token : special.added) {
      vocabulary_size_ = std::max(vocabulary_size_, token.id + 1);
      if (token.normalized) token.content = map_.normalize(token.content);
      if (!token.content.empty())
        (token.normalized ? after_normalization_ : before_normalization_).push_back(std::move(token));
    }
  }

  TokenIds encode(const std::string& text, std::size_t max_tokens) const override {
    if (max_tokens == 0)
      throw Error(ErrorKind::usage,
                  "expected room for at least one token, the end token, found a limit of 0 tokens.");
    require_utf8(text, "the prompt");
    TokenIds result;
    for (const auto& segment : split_at_tokens(text, before_normalization_)) {
      if (const auto* token = std::get_if<const AddedToken*>(&segment)) {
        result.ids.push_back((*token)->id);
      } else {
        append_text(map_.normalize(std::get<std::string_view>(segment)), result.ids);
      }
    }
    result.tokens_in_prompt = result.ids.size() + 1;
    if (result.ids.size() >= max_tokens) result.ids.resize(max_tokens - 1);
    result.ids.push_back(end_id_);
    return result;
  }

  int64_t vocabulary_size() const override { return vocabulary_size_; }
  int64_t pad_id() const override { return pad_id_; }

 private:
  void append_text(const std::string& normalized, std::vector<int64_t>& ids) const {
    for (const auto& segment : split_at_tokens(normalized, after_normalization_)) {
      if (const auto* token = std::get_if<const AddedToken*>(&segment)) {
        ids.push_back((*token)->id);
      } else {
        append_words(std::get<std::string_view>(segment), ids);
      }
    }
  }

  // Words end at white space and before "▁", and begin with "▁".
  void append_words(std::string_view text, std::vector<int64_t>& ids) const {
    std::string word;
    const auto finish = [&] {
      if (!word.empty()) append_word(pieces_, word, ids);
      word.clear();
    };
    for (std::size_t at = 0; at < text.size();) {
      const auto character = text.substr(at, utf8_length(text[at]));
      at += character.size();
      if (is_white_space(decode_utf8(character)->front())) {
        finish();
        continue;
      }
      if (character == space_mark) finish();
      if (word.empty() && character != space_mark) word = space_mark;
      word += character;
    }
    finish();
  }

  CharacterMap map_;
  PieceIndex pieces_;
  std::vector<AddedToken> before_normalization_, after_normalization_;
  int64_t end_id_, pad_id_, vocabulary_size_;
};

void require_t5_pieces(const SentencePieceModel& model, const std::string& where) {
  if (model.pieces.size() > static_cast<std::size_t>(unknown_id)) return;
  throw Error(ErrorKind::bad_input, where + ": expected T5's pieces <pad>, </s>, <unk> and others, found " +
                                        std::to_string(model.pieces.size()) +
                                        " pieces. Fetch the model's tokenizer folder again.");
}

}  // namespace

std::unique_ptr<Tokenizer> load_t5_tokenizer(const std::filesystem::path& folder) {
  // transformers reads tokenizer.json where both are there; they hold the same vocabulary, and spiece.model
  // is quicker to read.
  const bool has_model_file = is_there(folder / "spiece.model") || !is_there(folder / "tokenizer.json");
  const auto path = folder / (has_model_file ? "spiece.model" : "tokenizer.json");
  auto model = has_model_file ? read_sentencepiece_model(path) : read_tokenizer_json(path);
  require_t5_pieces(model, path.string());
  auto special = read_special_tokens(folder, model);
  return std::make_unique<T5Tokenizer>(std::move(model), std::move(special), path.string());
}

std::unique_ptr<Tokenizer> make_t5_tokenizer(SentencePieceModel model, const std::string& where) {
  require_t5_pieces(model, where);
  auto special = default_special_tokens(model, where);
  return std::make_unique<T5Tokenizer>(std::move(model), std::move(special), where);
}

}  // namespace t2v
