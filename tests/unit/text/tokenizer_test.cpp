#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <random>
#include <sstream>

#include "base/json.h"
#include "bytes.h"
#include "paths.h"
#include "t2v/error.h"

namespace t2v {
namespace {

namespace fs = std::filesystem;

// 349 pieces, 256 of them bytes.
fs::path tokenizer_folder() { return test::golden("tokenizer"); }

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A folder with that model file, to which others may be added.
class Folder {
 public:
  Folder() { fs::copy_file(tokenizer_folder() / "spiece.model", folder_ / "spiece.model"); }
  void add(const std::string& name, const std::string& content) const {
    write_bytes(folder_ / name, content);
  }
  const fs::path& path() const { return folder_.path(); }
  std::unique_ptr<Tokenizer> load() const { return load_t5_tokenizer(path()); }

 private:
  test::TemporaryFolder folder_;
};

// Runs `action`; it must throw Error{bad_input} whose message names `file`.
void expect_bad_input(const std::function<void()>& action, const std::string& file) {
  try {
    action();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input) << error.what();
    EXPECT_NE(std::string(error.what()).find(file), std::string::npos) << error.what();
  }
}

const std::vector<std::string>& probes() {
  static const std::vector<std::string> texts = {"a red circle", "½ ﬁ\u0301 É e\u0301 ｶﾞ ㍿", "漢字 <pad> 😀",
                                                 std::string("\0\x01\u2581x", 6)};
  return texts;
}

void expect_golden_ids(const Tokenizer& tokenizer, const std::string& golden_name) {
  const auto golden = read_json(test::golden(golden_name));
  ASSERT_GT(golden.at("cases").size(), 300u);
  for (const auto& c : golden.at("cases")) {
    const auto got = tokenizer.encode(c.at("text").get<std::string>(), c.at("max_tokens").get<std::size_t>());
    EXPECT_EQ(got.ids, c.at("ids").get<std::vector<int64_t>>()) << "for " << c.dump(-1, ' ', true);
  }
}

TEST(Tokenizer, GivesTheReferencesIds) {
  expect_golden_ids(*load_t5_tokenizer(tokenizer_folder()), "text_tokens.json");
}

// Trained by t2v, without pieces for bytes.
TEST(Tokenizer, GivesTheReferencesIdsForTheShippedModel) {
  expect_golden_ids(*load_t5_tokenizer(test::shipped_model() / "tokenizer"), "text_tokens_shipped.json");
}

// A folder that transformers 5 has saved again holds no spiece.model.
TEST(Tokenizer, GivesTheSameIdsFromTokenizerJsonAlone) {
  const test::TemporaryFolder folder;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(tokenizer_folder() / name, folder / name);
  const auto tokenizer = load_t5_tokenizer(folder.path());
  EXPECT_EQ(tokenizer->vocabulary_size(), load_t5_tokenizer(tokenizer_folder())->vocabulary_size());
  expect_golden_ids(*tokenizer, "text_tokens.json");
}

TEST(Tokenizer, DamagedTokenizerJsonIsRefused) {
  const test::TemporaryFolder folder;
  const auto good = read_json(tokenizer_folder() / "tokenizer.json");
  const std::vector<std::function<void(Json&)>> damages = {
      [](Json& json) { json.erase("model"); },
      [](Json& json) { json["model"]["type"] = "BPE"; },
      [](Json& json) { json["model"]["vocab"] = Json::object(); },
      [](Json& json) { json["model"]["vocab"] = Json::array(); },
      [](Json& json) { json["model"]["vocab"][5] = Json::array({"a"}); },
      [](Json& json) { json["model"]["vocab"][5][0] = ""; },
      [](Json& json) { json["model"]["vocab"][5][0] = json["model"]["vocab"][6][0]; },
      [](Json& json) { json["model"]["vocab"][5][1] = "high"; },
      [](Json& json) { json["normalizer"]["precompiled_charsmap"] = "not base64!!"; },
      [](Json& json) { json["normalizer"]["precompiled_charsmap"] = 7; },
      [](Json& json) { json["normalizer"]["precompiled_charsmap"] = "////////"; },  // a map longer than
                                                                                    // itself
  };
  for (std::size_t i = 0; i < damages.size(); ++i) {
    auto json = good;
    damages[i](json);
    write_bytes(folder / "tokenizer.json", json.dump());
    SCOPED_TRACE(i);
    expect_bad_input([&] { load_t5_tokenizer(folder.path()); }, "tokenizer.json");
  }
  write_bytes(folder / "tokenizer.json", "{");
  expect_bad_input([&] { load_t5_tokenizer(folder.path()); }, "tokenizer.json");
}

TEST(Tokenizer, KeepsTheEndTokenAndCountsAllWhenCutting) {
  const auto tokenizer = load_t5_tokenizer(tokenizer_folder());
  const auto whole = tokenizer->encode("a red circle", 512);
  ASSERT_EQ(whole.ids.size(), 6u);
  EXPECT_EQ(whole.tokens_in_prompt, 6u);
  for (std::size_t limit = 1; limit < 8; ++limit) {
    const auto cut = tokenizer->encode("a red circle", limit);
    EXPECT_EQ(cut.ids.size(), std::min<std::size_t>(limit, 6));
    EXPECT_EQ(cut.ids.back(), whole.ids.back());
    EXPECT_EQ(cut.tokens_in_prompt, 6u);
    EXPECT_TRUE(std::equal(cut.ids.begin(), cut.ids.end() - 1, whole.ids.begin()));
  }
}

TEST(Tokenizer, EmptyPromptIsTheEndTokenAlone) {
  const auto result = load_t5_tokenizer(tokenizer_folder())->encode("", 512);
  EXPECT_EQ(result.ids, (std::vector<int64_t>{1}));
  EXPECT_EQ(result.tokens_in_prompt, 1u);
}

TEST(Tokenizer, KnowsItsVocabulary) {
  const auto tokenizer = load_t5_tokenizer(tokenizer_folder());
  EXPECT_EQ(tokenizer->vocabulary_size(), 349);
  EXPECT_EQ(tokenizer->pad_id(), 0);
}

TEST(Tokenizer, PromptsOfTenThousandWordsAreTokenized) {
  const auto tokenizer = load_t5_tokenizer(tokenizer_folder());
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "circle ";
  EXPECT_EQ(tokenizer->encode(text, 512).tokens_in_prompt, 10'001u);
  EXPECT_EQ(tokenizer->encode(std::string(100'000, 'x'), 512).ids, (std::vector<int64_t>{260, 2, 1}));
}

// The ids were taken from transformers 5.23 on such folders.
TEST(Tokenizer, ModelFileAloneGetsHundredExtraIds) {
  const auto tokenizer = Folder().load();
  EXPECT_EQ(tokenizer->vocabulary_size(), 449);
  EXPECT_EQ(tokenizer->encode("a<extra_id_0>", 512).ids, (std::vector<int64_t>{259, 448, 1}));
  EXPECT_EQ(tokenizer->encode("<extra_id_99>", 512).ids, (std::vector<int64_t>{349, 1}));
}

TEST(Tokenizer, AddedTokensTakeTheWhiteSpaceThatTheyAskFor) {
  const Folder folder;
  folder.add("tokenizer_config.json", R"({"extra_ids": 0, "added_tokens_decoder": {
      "349": {"content": "[X]", "lstrip": true, "rstrip": true, "normalized": false, "special": true},
      "350": {"content": "[X][", "normalized": false, "special": true},
      "351": {"content": "ﬁre", "normalized": true, "special": false}}})");
  const auto tokenizer = folder.load();
  EXPECT_EQ(tokenizer->vocabulary_size(), 352);
  EXPECT_EQ(tokenizer->encode("a [X] a", 512).ids, (std::vector<int64_t>{259, 349, 259, 1}));
  EXPECT_EQ(tokenizer->encode("a[X][a", 512).ids, (std::vector<int64_t>{259, 350, 259, 1}));  // the longest
                                                                                              // first
  EXPECT_EQ(tokenizer->encode("fire ﬁre", 512).ids, (std::vector<int64_t>{351, 351, 1}));     // found after
                                                                                              // normalization
}

TEST(Tokenizer, NoRoomOrNoUtf8IsAUsageError) {
  const auto tokenizer = load_t5_tokenizer(tokenizer_folder());
  for (const auto& action : std::vector<std::function<void()>>{[&] { tokenizer->encode("a", 0); },
                                                               [&] { tokenizer->encode("\xff", 9); }}) {
    try {
      action();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
  }
}

TEST(Tokenizer, MissingFilesAreNamed) {
  const test::TemporaryFolder empty;
  expect_bad_input([&] { load_t5_tokenizer(empty / "nowhere"); }, "spiece.model");
  expect_bad_input([&] { load_t5_tokenizer(empty.path()); }, "spiece.model");
}

TEST(Tokenizer, FilesThatAreNoModelAreRefused) {
  const test::TemporaryFolder folder;
  const std::vector<std::string> contents = {
      "",
      "garbage",
      std::string(4096, '\0'),
      std::string(4096, '\xff'),
      std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10),          // a piece of 2^63 bytes
      std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12),  // a length of eleven bytes
      std::string("\x0a\x02\x0a\x7f", 4),                                   // a piece text beyond its piece
      std::string("\x0a\x03\x0a\x01z", 5),                                  // a single piece
      std::string("\x0a\x03\x0a\x01z\x0a\x03\x0a\x01z", 10),                // the same piece twice
      std::string("\x0a\x08\x0a\x01z\x15\x00\x00\xc0\x7f", 10),             // a score that is not a number
      std::string("\x0a\x03\x0a\x01\xff", 5),                               // a piece that is not UTF-8
      std::string("\x0a\x05\x0a\x01z\x18\x09", 7),                          // an unknown type
      read_bytes(tokenizer_folder() / "spiece.model") + std::string("\x12\x02\x18\x02", 4),  // of type BPE
  };
  for (const auto& content : contents) {
    write_bytes(folder / "spiece.model", content);
    SCOPED_TRACE(testing::PrintToString(content.substr(0, 16)));
    expect_bad_input([&] { load_t5_tokenizer(folder.path()); }, "spiece.model");
  }
}

TEST(Tokenizer, GitLfsPointersAreNamed) {
  for (const std::string file : {"spiece.model", "tokenizer_config.json"}) {
    const Folder folder;
    write_bytes(folder.path() / file, test::lfs_pointer);
    expect_bad_input([&] { folder.load(); }, file);
    expect_bad_input([&] { folder.load(); }, "git lfs pull");
  }
}

TEST(Tokenizer, FilesOfWhichNothingCanBeToldAreRefused) {
  for (const std::string file : {"spiece.model", "tokenizer_config.json", "special_tokens_map.json"}) {
    const Folder folder;
    std::filesystem::remove(folder.path() / file);
    std::filesystem::create_symlink(file, folder.path() / file);
    expect_bad_input([&] { folder.load(); }, file);
  }
}

TEST(Tokenizer, TruncatedModelsAreRefusedOrUsable) {
  const auto model = read_bytes(tokenizer_folder() / "spiece.model");
  const Folder folder;
  std::size_t refused = 0, tried = 0;
  const auto step = std::max<std::size_t>(1, model.size() / 400);
  for (std::size_t length = 0; length < model.size(); length += length < 256 ? 1 : step, ++tried) {
    write_bytes(folder.path() / "spiece.model", model.substr(0, length));
    try {
      const auto tokenizer = folder.load();
      for (const auto& text : probes()) tokenizer->encode(text, 512);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      ++refused;
    }
  }
  EXPECT_GT(refused, tried / 2);  // few cuts fall between two pieces
}

TEST(Tokenizer, DamagedModelsAreRefusedOrUsable) {
  const auto model = read_bytes(tokenizer_folder() / "spiece.model");
  const Folder folder;
  std::mt19937 random(7);
  std::size_t refused = 0;
  for (int round = 0; round < 600; ++round) {
    auto damaged = model;
    const auto range = round % 2 ? damaged.size()
                                 : 6000;  // the pieces lie at the beginning, the character map behind them
    for (int flips = 0; flips < 1 + round % 40; ++flips)
      damaged[random() % range] = static_cast<char>(random());
    write_bytes(folder.path() / "spiece.model", damaged);
    try {
      const auto tokenizer = folder.load();
      for (const auto& text : probes()) {
        for (const auto id : tokenizer->encode(text, 512).ids) ASSERT_LT(id, tokenizer->vocabulary_size());
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      ++refused;
    }
  }
  EXPECT_GT(refused, 100u);
}

TEST(Tokenizer, DamagedJsonFilesAreRefused) {
  const std::vector<std::pair<std::string, std::string>> files = {
      {"tokenizer_config.json", "{"},
      {"tokenizer_config.json", "[]"},
      {"tokenizer_config.json", R"({"extra_ids": -1})"},
      {"tokenizer_config.json", R"({"extra_ids": 1000000000000})"},
      {"tokenizer_config.json", R"({"extra_ids": "many"})"},
      {"tokenizer_config.json", R"({"eos_token": 3})"},
      {"tokenizer_config.json", R"({"pad_token": ""})"},
      {"tokenizer_config.json", R"({"extra_special_tokens": [1]})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"x": "<a>"}})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"999999999": "<a>"}})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"5": "<a>"}})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": 7})"},
      {"tokenizer.json", R"({"added_tokens": [{"id": 400}]})"},
      {"tokenizer.json", R"({"added_tokens": [{"content": "<a>", "id": 400, "single_word": true}]})"},
      {"tokenizer.json", R"({"added_tokens": ["<a>"]})"},
      {"special_tokens_map.json", "7"},
  };
  for (const auto& file : files) {
    SCOPED_TRACE(file.second);
    const Folder folder;
    folder.add(file.first, file.second);
    expect_bad_input([&] { folder.load(); }, file.first);
  }
}

}  // namespace
}  // namespace t2v
