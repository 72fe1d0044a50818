#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "device.h"
#include "errors.h"
#include "golden.h"
#include "models/encoders/t5_encoder.h"
#include "weights.h"

namespace t2v {
namespace {

T5Config tiny_umt5() { return parse_umt5_config(test::tiny_config("text_encoder"), "config.json"); }

// The tiny encoder's tensors with the embedding under the names given.
std::vector<std::pair<std::string, at::Tensor>> tensors_with_embedding(
    const std::vector<std::string>& names) {
  const auto file = SafetensorsFile::open(test::golden("wan-tiny") / "text_encoder" / "model.safetensors");
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  at::Tensor embedding;
  for (const auto& [name, entry] : file->entries()) {
    if (name == "shared.weight" || name == "encoder.embed_tokens.weight")
      embedding = file->tensor(name);
    else
      tensors.emplace_back(name, file->tensor(name));
  }
  for (const auto& name : names) tensors.emplace_back(name, embedding);
  return tensors;
}

TEST(Umt5, TakesTheTiedEmbeddingUnderEitherNameOrBoth) {
  const auto ids = test::here(at::tensor(std::vector<int64_t>{5, 17, 300, 1}));
  at::Tensor expected;
  for (const auto& names : {std::vector<std::string>{"shared.weight"},
                            {"encoder.embed_tokens.weight"},
                            {"shared.weight", "encoder.embed_tokens.weight"}}) {
    auto weights = test::weights_of(tensors_with_embedding(names));
    const T5Encoder encoder(tiny_umt5(), weights.root());
    EXPECT_NO_THROW(weights.finish());
    const auto states = encoder.forward(ids);
    if (!expected.defined()) expected = states;
    EXPECT_TRUE(at::equal(states, expected)) << names[0];
  }
  auto weights = test::weights_of(tensors_with_embedding({}));
  const T5Encoder encoder(tiny_umt5(), weights.root());
  test::expect_error(ErrorKind::bad_input, {"missing: shared.weight [512, 56]"}, [&] { weights.finish(); });
}

TEST(Umt5, ABatchIsItsTextsOneByOne) {
  auto weights = test::tiny_weights("text_encoder");
  const T5Encoder encoder(tiny_umt5(), weights.root());
  const auto ids = test::here(at::tensor(std::vector<int64_t>{5, 17, 300, 1, 8, 2, 40, 1, 99, 5, 5, 1}))
                       .view({3, 4});
  const auto batch = encoder.forward(ids);
  ASSERT_EQ(batch.sizes(), (std::vector<int64_t>{3, 4, 56}));
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_LE(test::relative_error(batch[i], encoder.forward(ids[i])), 1e-5) << i;
}

TEST(Umt5, GivesShapesOnTheMetaDevice) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    auto weights = Weights::meta(dtype);
    const T5Encoder encoder(tiny_umt5(), weights.root());
    const auto states = encoder.forward(at::empty({37}, at::TensorOptions(at::kLong).device(at::kMeta)));
    EXPECT_TRUE(states.is_meta());
    EXPECT_EQ(states.scalar_type(), dtype);
    EXPECT_EQ(states.sizes(), (std::vector<int64_t>{37, 56}));
  }
}

TEST(Umt5, RelativePositionsShareBucketsWithDistance) {
  const auto buckets = relative_position_buckets(200, 32, 128, test::device());
  const auto bucket = [&](int64_t query, int64_t key) { return buckets[query][key].item<int64_t>(); };
  EXPECT_EQ(bucket(100, 100), 0);
  for (int64_t distance = 1; distance < 8; ++distance) {  // exact near by
    EXPECT_EQ(bucket(100, 100 - distance), distance);
    EXPECT_EQ(bucket(100, 100 + distance), 16 + distance);
  }
  // 8 + floor(8 · ln(d / 8) / ln(16)), up to 15
  EXPECT_EQ(bucket(100, 92), 8);
  EXPECT_EQ(bucket(100, 89), 8);
  EXPECT_EQ(bucket(100, 88), 9);
  EXPECT_EQ(bucket(100, 50), 13);
  EXPECT_EQ(bucket(199, 0), 15);
  EXPECT_EQ(bucket(0, 199), 31);
}

TEST(ParseT5Config, RefusesWhatIsNotSupportedOrOutOfRange) {
  const std::vector<std::pair<Json, std::vector<std::string>>> cases = {
      {{{"feed_forward_proj", "relu"}}, {"feed_forward_proj", "relu"}},
      {{{"d_model", 0}}, {"'d_model'"}},
      {{{"vocab_size", 1 << 30}}, {"'vocab_size'"}},
      {{{"relative_attention_num_buckets", 2}}, {"relative_attention_num_buckets"}},
      {{{"relative_attention_max_distance", 8}}, {"relative_attention_max_distance"}},
  };
  for (const auto& [change, parts] : cases) {
    SCOPED_TRACE(change.dump());
    auto config = test::tiny_config("text_encoder");
    config.update(change);
    test::expect_error(ErrorKind::bad_input, parts, [&] { parse_umt5_config(config, "config.json"); });
  }
}

}  // namespace
}  // namespace t2v
