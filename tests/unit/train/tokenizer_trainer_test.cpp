#include "train/run/tokenizer_trainer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "errors.h"
#include "paths.h"
#include "text/tokenizer.h"
#include "train/data/clip_source.h"

namespace t2v {
namespace {

const std::vector<std::string>& captions() {
  static const std::vector<std::string> some = {
      "a kestrel hovering over a hedgerow", "a kestrel perched on a hedgerow",
      "two kestrels hovering over a meadow", "a lapwing standing in a meadow",
      "a lapwing hovering over Łódź's meadow"};
  return some;
}

std::vector<int64_t> encode(const TrainedTokenizer& tokenizer, const std::string& text) {
  const test::TemporaryFolder folder;
  write_tokenizer(folder / "tokenizer", tokenizer);
  return load_t5_tokenizer(folder / "tokenizer")->encode(text, 100).ids;
}

TEST(TrainTokenizer, MakesPiecesOfTheWordsOfItsCaptions) {
  const auto tokenizer = train_tokenizer(captions(), 32, "c.json");
  EXPECT_EQ(tokenizer.vocab_size, 32);
  for (const auto& caption : captions()) {
    const auto ids = encode(tokenizer, caption);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), 2), 0) << caption;
    EXPECT_EQ(ids.back(), 1);
    EXPECT_LT(ids.size(), caption.size()) << caption;
  }
  EXPECT_EQ(encode(tokenizer, "kestrel").size(), 2U);  // one piece, and the end
}

TEST(TrainTokenizer, EveryWordOfManyCaptionsIsAPiece) {
  const auto world = make_world_source({{64, 64}}, {})->training_captions(3);
  const std::vector<std::string> some(world.begin(), world.begin() + 2000);
  const auto tokenizer = train_tokenizer(some, std::nullopt, "c.json");
  for (const auto& word : words_of_captions(some, 1000))
    EXPECT_EQ(encode(tokenizer, word).size(), 2U) << word;
  EXPECT_EQ(encode(tokenizer, "a small red star and a ring").size(), 8U);
}

TEST(TrainTokenizer, APieceBeginsAsTheMeanOfWhatItsTextWasBefore) {
  const test::TemporaryFolder folder;
  const auto before = train_tokenizer({"red", "car", "t"}, std::nullopt, "");
  write_tokenizer(folder / "before", before);
  const auto old = load_t5_tokenizer(folder / "before");
  const auto after = train_tokenizer({"a red cart", "a cart"}, std::nullopt, "");
  const auto embedding = at::rand({before.vocab_size, 4});
  const auto rows = embedding_for(after, *old, embedding);
  ASSERT_EQ(rows.sizes(), (std::vector<int64_t>{after.vocab_size, 4}));
  EXPECT_TRUE(rows.slice(0, 0, 3).equal(embedding.slice(0, 0, 3)));
  for (const std::string word : {"red", "cart"}) {
    const auto id = encode(after, word);
    ASSERT_EQ(id.size(), 2U) << word;
    at::Tensor sum = at::zeros({4});
    const auto ids = old->encode(word, 20).ids;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i)
      sum += embedding[ids[i]] / static_cast<double>(ids.size() - 1);
    EXPECT_TRUE(rows[id[0]].allclose(sum)) << word;
  }
}

TEST(TrainTokenizer, HasT5sSpecialTokens) {
  const auto tokenizer = train_tokenizer(captions(), 32, "c.json");
  EXPECT_EQ(encode(tokenizer, "<pad>"), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(encode(tokenizer, ""), (std::vector<int64_t>{1}));
  const auto unknown = encode(tokenizer, "Ω");
  EXPECT_NE(std::find(unknown.begin(), unknown.end(), 2), unknown.end());
}

TEST(TrainTokenizer, TheSameCaptionsGiveTheSameBytes) {
  const auto world = make_world_source({{64, 64}}, {})->training_captions(3);
  const std::vector<std::string> some(world.begin(), world.begin() + 2000);
  const auto tokenizer = train_tokenizer(some, 80, "c.json");
  EXPECT_TRUE(train_tokenizer(some, 80, "c.json").model == tokenizer.model);
  EXPECT_EQ(tokenizer.vocab_size, 80);
  EXPECT_LE(tokenizer.pieces, 80);
  EXPECT_GE(tokenizer.pieces, 60);
}

TEST(TrainTokenizer, NamesTheSizesThatFit) {
  for (const int64_t size : {5, 9000}) {
    try {
      train_tokenizer(captions(), size, "c.json");
      ADD_FAILURE() << size;
    } catch (const Error& error) {
      const std::string message = error.what();
      long least = 0, most = 0;
      const auto numbers = message.find("between ");
      ASSERT_NE(numbers, std::string::npos) << message;
      ASSERT_EQ(std::sscanf(message.c_str() + numbers, "between %ld", &least), 1);
      ASSERT_EQ(std::sscanf(message.c_str() + message.rfind(" and ", message.find(" (all pieces")),
                            " and %ld", &most),
                1)
          << message;
      EXPECT_EQ(train_tokenizer(captions(), least, "").vocab_size, least);  // the message keeps its word
      EXPECT_EQ(train_tokenizer(captions(), most, "").vocab_size, most);
      test::expect_error(ErrorKind::usage, {"c.json", "'vocab_size'", std::to_string(size)},
                         [&] { train_tokenizer(captions(), size, "c.json"); });
      test::expect_error(ErrorKind::usage, {}, [&] { train_tokenizer(captions(), least - 1, ""); });
      test::expect_error(ErrorKind::usage, {}, [&] { train_tokenizer(captions(), most + 1, ""); });
    }
  }
}

TEST(TrainTokenizer, WithoutASizeTheCaptionsGetWhatTheyGive) {
  const auto tokenizer = train_tokenizer(captions(), std::nullopt, "c.json");
  EXPECT_EQ(train_tokenizer(captions(), tokenizer.vocab_size, "").model, tokenizer.model);
  test::expect_error(ErrorKind::usage, {},
                     [&] { train_tokenizer(captions(), tokenizer.vocab_size + 1, ""); });
  EXPECT_EQ(train_tokenizer({"a"}, std::nullopt, "").vocab_size,
            7);  // the special ones, a space, a comma, "a" within and at the beginning of a word
}

TEST(TrainTokenizer, CaptionsWithoutTextAreRefused) {
  test::expect_error(ErrorKind::usage, {"no words"}, [] {
    train_tokenizer({" ", "\u200b", "!"}, 50, "c.json");
  });
  test::expect_error(ErrorKind::usage, {"no words"}, [] { train_tokenizer({}, 50, "c.json"); });
}

TEST(WordsOfCaptions, AreAllDifferentAndInLowerCase) {
  EXPECT_EQ(words_of_captions({"A red circle, a Blue star", "circle"}, 10),
            (std::vector<std::string>{"a", "blue", "circle", "red", "star"}));
  EXPECT_TRUE(words_of_captions({"one two three"}, 2).empty());
}

}  // namespace
}  // namespace t2v
