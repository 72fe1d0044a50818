#include "train/run/tokenizer_trainer.h"

#include <ATen/ATen.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <unordered_map>

#include "base/atomic_file.h"
#include "base/json.h"
#include "t2v/error.h"
#include "text/unicode_text.h"
#include "text/words.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

class Captions : public sentencepiece::SentenceIterator {
 public:
  explicit Captions(const std::vector<std::string>& captions) : at_(captions.begin()), end_(captions.end()) {}
  bool done() const override { return at_ == end_; }
  void Next() override { ++at_; }
  const std::string& value() const override { return *at_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string>::const_iterator at_, end_;
};

// Note: [Each word twice]
// SentencePiece's pieces are chosen from the strings that occur twice in its list of different words. A word
// that no other word contains is therefore cut up, however often it is said: in 20,000 captions "small"
// became "s m all" and "red" " re d", "circle" stayed whole because "circle," occurred too. So every word is
// said once more with a comma.
std::vector<std::string> with_each_word_twice(const std::vector<std::string>& captions) {
  auto texts = captions;
  std::set<std::string> words;
  for (const auto& caption : captions) {
    std::istringstream stream(caption);
    for (std::string word; stream >> word;) words.insert(word);
  }
  for (const auto& word : words) texts.push_back(word + ",");
  return texts;
}

// Up to `vocab_size` pieces; empty when not even the characters fit.
std::string train_pieces(const std::vector<std::string>& captions, int64_t vocab_size) {
  Captions sentences(captions);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      std::unordered_map<std::string, std::string>{
          {"model_type", "unigram"},
          {"vocab_size", std::to_string(vocab_size)},
          {"hard_vocab_limit", "false"},  // fewer pieces are found out here, with a better message
          {"character_coverage", "1.0"},
          {"normalization_rule_name", "nmt_nfkc"},
          {"pad_id", "0"},
          {"eos_id", "1"},
          {"unk_id", "2"},
          {"bos_id", "-1"},
          {"unk_piece", "<unk>"},
          {"num_threads", "1"},  // sums in one order
          {"input_sentence_size", "0"},
          {"minloglevel", "3"},
      },
      &sentences, &model);
  return status.ok() ? model : "";
}

struct PieceCounts {
  int64_t all = 0;
  int64_t least = 0;  // without the pieces of several characters, which are there for their use
};

PieceCounts count_pieces(const std::string& model) {
  PieceCounts counts;
  sentencepiece::SentencePieceProcessor processor;
  if (model.empty() || !processor.LoadFromSerializedProto(model).ok()) return counts;
  counts.all = processor.GetPieceSize();
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    const auto& piece = processor.IdToPiece(id);
    if (processor.IsControl(id) || processor.IsUnknown(id) || decode_utf8(piece)->size() == 1) ++counts.least;
  }
  return counts;
}

}  // namespace

TrainedTokenizer train_tokenizer(const std::vector<std::string>& all_captions,
                                 std::optional<int64_t> vocab_size, const std::string& where) {
  constexpr int64_t most_unless_asked = 8192;
  // The library ends the program when nothing is left of all captions after its normalisation.
  std::vector<std::string> captions;
  for (const auto& caption : all_captions) {
    const auto text = decode_utf8(caption);
    if (text && std::any_of(text->begin(), text->end(), is_python_word)) captions.push_back(caption);
  }
  if (captions.empty())
    throw Error(ErrorKind::usage,
                where + ": the captions hold no words that a tokenizer could be trained on");
  const auto texts = with_each_word_twice(captions);
  auto model = train_pieces(texts, vocab_size.value_or(most_unless_asked));
  const auto found = count_pieces(model).all;
  if (found > 0 && found == vocab_size.value_or(found)) return {std::move(model), found, found};
  const auto fits = count_pieces(train_pieces(texts, 1 << 20));
  if (found > 0 && *vocab_size <= fits.all) return {std::move(model), found, *vocab_size};
  throw Error(ErrorKind::usage, where + ": 'vocab_size' should be between " + std::to_string(fits.least) +
                                    " (the characters of the " + std::to_string(captions.size()) +
                                    " captions and three special tokens) and " + std::to_string(fits.all) +
                                    " (all pieces that they give), found " +
                                    std::to_string(vocab_size.value_or(most_unless_asked)) +
                                    "; without the key they get what they give");
}

at::Tensor embedding_for(const TrainedTokenizer& trained, const Tokenizer& before,
                         const at::Tensor& embedding) {
  sentencepiece::SentencePieceProcessor processor;
  const auto status = processor.LoadFromSerializedProto(trained.model);
  if (!status.ok())
    throw Error(ErrorKind::internal, "the tokenizer that was trained cannot be read: " + status.ToString());
  constexpr int64_t special = 3;  // <pad>, </s>, <unk>
  const std::string space = "\u2581";
  auto rows = embedding[special - 1].repeat({trained.vocab_size, 1});
  rows.narrow(0, 0, special).copy_(embedding.narrow(0, 0, special));
  for (int id = special; id < processor.GetPieceSize(); ++id) {
    auto text = processor.IdToPiece(id);
    if (text.starts_with(space)) text.erase(0, space.size());
    auto ids = before.encode(text, 64).ids;
    ids.pop_back();  // </s>
    if (!ids.empty())
      rows[id].copy_(embedding.index_select(0, at::tensor(ids, at::TensorOptions(at::kLong))).mean(0));
  }
  return rows;
}

void write_tokenizer(const fs::path& folder, const TrainedTokenizer& tokenizer) {
  std::error_code failed;
  fs::remove_all(folder, failed);
  if (!failed) fs::create_directories(folder, failed);
  if (failed)
    throw Error(ErrorKind::output, folder.string() + ": cannot be made anew (" + failed.message() + ")");
  const Json config = {{"tokenizer_class", "T5Tokenizer"},
                       {"eos_token", "</s>"},
                       {"unk_token", "<unk>"},
                       {"pad_token", "<pad>"},
                       {"extra_ids", 0},
                       {"extra_special_tokens", {"<pad>", "</s>"}}};
  write_file_atomically(folder / "spiece.model", tokenizer.model);
  write_file_atomically(folder / "tokenizer_config.json", config.dump(2) + "\n");
}

std::vector<std::string> words_of_captions(const std::vector<std::string>& captions, std::size_t most) {
  std::set<std::string> words;
  for (const auto& caption : captions)
    for (auto& word : words_of(caption)) words.insert(std::move(word));
  return words.size() > most ? std::vector<std::string>()
                             : std::vector<std::string>(words.begin(), words.end());
}

}  // namespace t2v
