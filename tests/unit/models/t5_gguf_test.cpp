#include "models/encoders/t5_gguf.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "errors.h"
#include "gguf.h"
#include "models.h"
#include "text/tokenizer_model.h"

namespace t2v {
namespace {

TEST(GgufT5Name, IsLlamaCpps) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"shared.weight", "token_embd.weight"},
      {"encoder.final_layer_norm.weight", "enc.output_norm.weight"},
      {"encoder.block.11.layer.0.layer_norm.weight", "enc.blk.11.attn_norm.weight"},
      {"encoder.block.0.layer.0.SelfAttention.q.weight", "enc.blk.0.attn_q.weight"},
      {"encoder.block.0.layer.0.SelfAttention.k.weight", "enc.blk.0.attn_k.weight"},
      {"encoder.block.0.layer.0.SelfAttention.v.weight", "enc.blk.0.attn_v.weight"},
      {"encoder.block.0.layer.0.SelfAttention.o.weight", "enc.blk.0.attn_o.weight"},
      {"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "enc.blk.0.attn_rel_b.weight"},
      {"encoder.block.0.layer.1.layer_norm.weight", "enc.blk.0.ffn_norm.weight"},
      {"encoder.block.0.layer.1.DenseReluDense.wi_0.weight", "enc.blk.0.ffn_gate.weight"},
      {"encoder.block.0.layer.1.DenseReluDense.wi_1.weight", "enc.blk.0.ffn_up.weight"},
      {"encoder.block.0.layer.1.DenseReluDense.wo.weight", "enc.blk.0.ffn_down.weight"},
      {"blocks.0.attn1.to_q.weight", "blocks.0.attn1.to_q.weight"}};
  for (const auto& [here, there] : names) EXPECT_EQ(gguf_t5_name(here), there);
}

// The tiny model's tokenizer as llama.cpp's converter stores it, its embedding's spare rows named.
class GgufTokenizerTest : public testing::Test {
 protected:
  GgufTokenizerTest() {
    const auto model = read_sentencepiece_model(test::golden("wan-tiny") / "tokenizer" / "spiece.model");
    for (const auto& piece : model.pieces) {
      tokens.push_back(piece.text);
      scores.push_back(static_cast<float>(piece.score));
      types.push_back(static_cast<int32_t>(piece.type));
    }
    map.assign(model.character_map.begin(), model.character_map.end());
    for (int i = 0; i < 5; ++i) {
      tokens.push_back("[PAD" + std::to_string(i) + "]");
      scores.push_back(-10000);
      types.push_back(SentencePiece::unused);
    }
  }

  std::unique_ptr<Tokenizer> load() {
    const test::GgufBytes file{.keys = {test::gguf_text_key("tokenizer.ggml.model", kind),
                                        test::gguf_list_key("tokenizer.ggml.tokens", 8, tokens),
                                        test::gguf_list_key("tokenizer.ggml.scores", 6, scores),
                                        test::gguf_list_key("tokenizer.ggml.token_type", 5, types),
                                        test::gguf_list_key("tokenizer.ggml.precompiled_charsmap", 0, map)},
                               .tensors = {}};
    test::write_bytes(folder / "encoder.gguf", file.bytes());
    return load_gguf_tokenizer(folder / "encoder.gguf");
  }
  void refused(const std::vector<std::string>& parts) {
    test::expect_error(ErrorKind::bad_input, parts, [&] { load(); });
  }

  const test::TemporaryFolder folder;
  std::string kind = "t5";
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  std::vector<uint8_t> map;
};

TEST_F(GgufTokenizerTest, GivesTheIdsOfTheSentencePieceModel) {
  const auto expected = test::tiny_model()->load_tokenizer(), found = load();
  for (const std::string text :
       {"", "a red circle moving left", "Zwölf  Boxkämpfer\tjagen", "日本語 ﬁne ½ 🐧", "</s> twice </s>"})
    EXPECT_EQ(found->encode(text, 64).ids, expected->encode(text, 64).ids) << text;
  EXPECT_EQ(found->vocabulary_size(), expected->vocabulary_size());
}

TEST_F(GgufTokenizerTest, IsUsedWhereItsFileIsTheTextEncoder) {
  const auto ids_of = [](const Model& model) { return model.load_tokenizer()->encode("red", 64).ids; };
  const auto expected = ids_of(*test::tiny_model());
  const auto first = static_cast<std::size_t>(expected.front());
  std::swap(tokens[first], tokens[first + 1]);
  load();
  auto folder_with_file = open_model_folder(test::golden("wan-tiny"));
  folder_with_file.given_weights["text_encoder"] = folder / "encoder.gguf";
  EXPECT_NE(ids_of(*open_model(folder_with_file)), expected);
}

TEST_F(GgufTokenizerTest, DamagedOnesAreRefused) {
  kind = "llama";
  refused({"encoder.gguf", "'llama'", "'t5'"});
  kind = "t5";
  scores.pop_back();
  refused({"encoder.gguf", "tokens, but", "scores"});
  scores.push_back(0);
  types[3] = 9;
  refused({"token 3 has type 9"});
  types[3] = 1;
  tokens[4] = tokens[5];
  refused({"twice"});
  tokens.resize(2);
  scores.resize(2);
  types.resize(2);
  refused({"found 2 pieces"});
}

TEST_F(GgufTokenizerTest, FilesWithoutOneHaveNone) {
  test::write_bytes(folder / "bare.gguf", test::GgufBytes{}.bytes());
  EXPECT_EQ(load_gguf_tokenizer(folder / "bare.gguf"), nullptr);
  EXPECT_EQ(load_gguf_tokenizer(test::golden("wan-tiny") / "text_encoder" / "model.safetensors"), nullptr);
}

}  // namespace
}  // namespace t2v
