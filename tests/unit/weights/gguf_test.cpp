// GGUF files: every format against gguf-py, and what is refused.
#include "weights/gguf.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "bytes.h"
#include "errors.h"
#include "gguf.h"
#include "golden.h"
#include "weights/packed.h"
#include "weights/tensor_source.h"
#include "weights/weights.h"

namespace t2v {
namespace {

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         at::equal(a.contiguous().view(at::kByte), b.contiguous().view(at::kByte));
}

TEST(Gguf, EveryFormatHasTheBitsOfTheReference) {
  const auto file = GgufFile::open(test::golden("gguf.gguf"));
  const auto expected = test::open_golden("gguf.safetensors");
  EXPECT_EQ(file->tensors().size(), expected->entries().size());
  for (const auto& [name, entry] : expected->entries())
    EXPECT_TRUE(same_bits(file->tensor(name).to(at::kFloat), expected->tensor(name))) << name;
  for (const auto& format : block_formats())
    EXPECT_EQ(file->tensors().count(std::string(format.name) + ".weight"), 1) << format.name;
}

TEST(Gguf, MatricesStayPackedAndExpandToTheSameBits) {
  const auto file = GgufFile::open(test::golden("gguf.gguf"));
  const auto rows = at::tensor({2, 0, 2});
  for (const auto& [name, tensor] : file->tensors()) {
    auto matrix = file->matrix(name);
    EXPECT_EQ(matrix.has_value(), tensor.shape.size() == 2 && tensor.type != "F32") << name;
    if (!matrix) continue;
    EXPECT_EQ(matrix->stored.nbytes(), tensor.end - tensor.begin) << name;
    const auto numbers = file->tensor(name).to(at::kFloat);
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      matrix->dtype = dtype;
      EXPECT_TRUE(same_bits(expand({*matrix}, at::kCPU), numbers.to(dtype))) << name;
      EXPECT_TRUE(same_bits(expand({rows_of(*matrix, rows), *matrix}, at::kCPU),
                            at::cat({numbers.index_select(0, rows), numbers}).to(dtype)))
          << name;
    }
  }
}

TEST(Pack, MakesTheBlocksOfTheReference) {
  const auto file = GgufFile::open(test::golden("gguf.gguf"));
  const auto numbers = file->tensor("F32.weight");
  for (const auto& [kept, stored] : {std::pair{"q8_0", "Q8_0"}, {"q4_0", "Q4_0"}}) {
    const auto packed = pack(numbers, kept);
    ASSERT_TRUE(packed);
    EXPECT_TRUE(at::equal(packed->stored, file->matrix(std::string(stored) + ".weight")->stored)) << kept;
    EXPECT_EQ(packed_bytes(3, 512, kept), packed->stored.nbytes());
    EXPECT_FALSE(pack(numbers.narrow(1, 0, 40), kept));
  }
  for (const auto& [kept, dtype] : {std::pair{"bfloat16", at::kBFloat16}, {"float16", at::kHalf}}) {
    const auto packed = pack(numbers, kept);
    EXPECT_TRUE(same_bits(expand({*packed}, at::kCPU), numbers.to(dtype).to(at::kFloat))) << kept;
    EXPECT_EQ(packed_bytes(3, 512, kept), packed->stored.nbytes());
  }
}

// e4m3 has three bits behind the point: an error of at most 1/16 of a number, or half a step near zero.
TEST(Pack, KeepsFloat8WithAScaleForEachRow) {
  const auto numbers = test::random_normal({5, 37}, 3) *
                       at::tensor({1.0F, 1e-6F, 3e4F, 0.0F, 7.0F}).view({5, 1});
  const auto packed = pack(numbers, "float8");
  ASSERT_TRUE(packed);
  EXPECT_EQ(packed_bytes(5, 37, "float8"), packed->stored.nbytes() + packed->scales.nbytes());
  const auto found = expand({*packed}, at::kCPU), largest = std::get<0>(numbers.abs().max(1, true));
  EXPECT_TRUE(((found - numbers).abs() <= numbers.abs() / 15.9 + largest / 400 / 1024).all().item<bool>());
  EXPECT_TRUE(at::allclose(std::get<0>(found.abs().max(1, true)), largest, 1e-6, 0));
  EXPECT_TRUE(found[3].eq(0).all().item<bool>());
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    auto narrow = *packed;
    narrow.dtype = dtype;
    const auto rows = rows_of(narrow, at::tensor({4, 0})), part = rows_of(narrow, 1, 3);
    const auto expected = at::cat({found.index_select(0, at::tensor({4, 0})), found.narrow(0, 1, 3)});
    EXPECT_TRUE(same_bits(expand({rows, part}, at::kCPU), expected.to(dtype)));
  }
  EXPECT_TRUE(
      expand({pack(at::full({1, 4}, INFINITY), "float8").value()}, at::kCPU).isnan().all().item<bool>());
}

TEST(Gguf, ReadsMetadata) {
  const auto file = GgufFile::open(test::golden("gguf.gguf"));
  const auto value = [&](const char* key) { return *file->metadata(key); };
  EXPECT_EQ(gguf_text(value("general.architecture"), "", ""), "wan");
  EXPECT_EQ(gguf_text(value("a.text"), "", ""), "für alle");
  EXPECT_EQ(gguf_integers(value("a.list"), "", ""), (std::vector<int64_t>{-1, 2, 3}));
  EXPECT_EQ(gguf_texts(value("some.texts"), "", ""), (std::vector<std::string>{"one", "", "three"}));
  EXPECT_EQ(gguf_numbers(value("some.numbers"), "", ""), (std::vector<double>{0.5, -1.25}));
  EXPECT_EQ(file->metadata("absent"), nullptr);
  test::expect_error(ErrorKind::bad_input, {"FILE: ", "'a.list'", "text"},
                     [&] { gguf_text(value("a.list"), "a.list", "FILE"); });
  test::expect_error(ErrorKind::bad_input, {"'a.text'", "whole numbers"},
                     [&] { gguf_integers(value("a.text"), "a.text", "FILE"); });
  test::expect_error(ErrorKind::bad_input, {"'a.list'", "numbers"},
                     [&] { gguf_numbers(value("a.list"), "a.list", "FILE"); });
}

// A file of two tensors, changed and opened.
class GgufFaults : public testing::Test {
 protected:
  void refused(const std::vector<std::string>& parts, const std::string& bytes) {
    test::write_bytes(folder / "x.gguf", bytes);
    auto all = parts;
    all.push_back("x.gguf");
    test::expect_error(ErrorKind::bad_input, all, [&] { GgufFile::open(folder / "x.gguf"); });
  }
  template <class Change>
  void refused_when(const std::vector<std::string>& parts, const Change& change) {
    auto changed = good;
    change(changed);
    refused(parts, changed.bytes());
  }

  const test::TemporaryFolder folder;
  test::GgufBytes good{
      .keys = {test::gguf_text_key("general.architecture", "wan")},
      .tensors = {{"a", {32, 2}, 8, std::string(2 * 34, '\1')}, {"b", {3}, 0, std::string(12, '\0')}}};
};

TEST_F(GgufFaults, TheFileIsGoodBeforeItIsChanged) {
  test::write_bytes(folder / "x.gguf", good.bytes());
  EXPECT_EQ(GgufFile::open(folder / "x.gguf")->tensors().at("a").shape, (std::vector<int64_t>{2, 32}));
}

TEST_F(GgufFaults, EveryTruncationIsRefused) {
  const auto bytes = good.bytes();
  const auto needed = bytes.size() - 20;  // the last tensor's end; zeros fill the rest
  for (std::size_t size = 0; size < needed; ++size) refused({}, bytes.substr(0, size));
}

TEST_F(GgufFaults, HostileCountsAndLengthsAreRefused) {
  using test::little_endian_bytes;
  const auto with = [&](std::size_t at, const std::string& bytes) {
    return good.bytes().replace(at, bytes.size(), bytes);
  };
  const std::size_t key = 24, value = key + 8 + 20 + 4;  // "general.architecture" and its text
  for (const uint64_t many : {uint64_t{1} << 20, uint64_t{1} << 40, ~uint64_t{0}}) {
    const auto bytes = little_endian_bytes(many);
    refused({"tensors", std::to_string(many)}, with(8, bytes));
    refused({"keys", std::to_string(many)}, with(16, bytes));
    refused({"the name of key 1", std::to_string(many)}, with(key, bytes));
    refused({"'general.architecture'", std::to_string(many)}, with(value, bytes));
  }
  refused_when({"elements of 'list'", "18446744073709551615"}, [](auto& file) {
    file.keys.push_back(
        test::gguf_key("list", 9, little_endian_bytes(uint32_t{8}) + little_endian_bytes(~uint64_t{0})));
  });
  refused_when({"lists of lists"}, [](auto& file) {
    file.keys.push_back(
        test::gguf_key("list", 9, little_endian_bytes(uint32_t{9}) + little_endian_bytes(uint64_t{1})));
  });
  refused_when({"'odd'", "type 13"}, [](auto& file) { file.keys.push_back(test::gguf_key("odd", 13, "")); });
}

TEST_F(GgufFaults, HostileShapesAndPlacesAreRefused) {
  auto one = good;
  one.tensors.resize(1);
  const auto rank = one.header().size() - (8 + 4 + 2 * 8 + 4);  // before it: offset, type and two sides
  refused({"'a'", "4294967295 dimensions"}, one.bytes().replace(rank, 4, "\xff\xff\xff\xff"));
  refused_when({"'a'", "9 dimensions"}, [](auto& file) { file.tensors[0].dims.assign(9, 1); });
  refused_when({"'a'", "which is none"}, [](auto& file) { file.tensors[0].dims = {32, 0}; });
  refused_when({"'a'", "which is none"}, [](auto& file) { file.tensors[0].dims = {32, ~uint64_t{0}}; });
  refused_when({"'a'", "which is none"}, [](auto& file) {
    file.tensors[0].dims = {32, uint64_t{1} << 40, uint64_t{1} << 40};
  });
  refused_when({"'b'", "beyond any file"}, [](auto& file) { file.tensors[1].dims = {uint64_t{1} << 62}; });
  refused_when({"'a'", "should end at byte"}, [](auto& file) { file.tensors[0].dims = {32, 200}; });
  refused_when({"'a'", "rows of 33", "multiple of 32"}, [](auto& file) { file.tensors[0].dims = {33, 2}; });
  refused_when({"'a' and 'b' overlap"}, [](auto& file) { file.tensors[0].dims = {32, 3}; });
  const auto with_offset = [&](uint64_t offset) {
    const auto at = good.header().size() - 8;
    return good.bytes().replace(at, 8, test::little_endian_bytes(offset));
  };
  refused({"'b'", "byte 97", "no multiple of 32"}, with_offset(97));
  refused({"'b'", "should end at byte"}, with_offset(uint64_t{1} << 40));
  refused({"'b'", "should end at byte"}, with_offset(~uint64_t{31}));
}

TEST_F(GgufFaults, OtherFormatsAndVersionsAreRefusedByName) {
  refused_when({"'a'", "IQ2_XXS", "Q2_K"}, [](auto& file) { file.tensors[0].type = 16; });
  refused_when({"'a'", "stored as 99"}, [](auto& file) { file.tensors[0].type = 99; });
  refused_when({"version 1;"}, [](auto& file) { file.version = 1; });
  refused_when({"big-endian"}, [](auto& file) { file.version = 3U << 24; });
  refused_when({"one of 3 parts"}, [](auto& file) {
    file.keys.push_back(test::gguf_key("split.count", 2, test::little_endian_bytes(uint16_t{3})));
  });
  for (const uint32_t alignment : {0U, 24U, 1U << 20})
    refused_when({"general.alignment", std::to_string(alignment)}, [&](auto& file) {
      file.keys.push_back(test::gguf_key("general.alignment", 4, test::little_endian_bytes(alignment)));
    });
  refused({"should begin with 'GGUF'"}, test::bytes_of(test::golden("gguf.safetensors")));
}

TEST_F(GgufFaults, NamesThatStandTwiceAndShapesThatDoNotFitAreRefused) {
  refused_when({"'a' stands twice"}, [](auto& file) { file.tensors[1].name = "a"; });
  refused_when({"'general.architecture' stands twice"},
               [](auto& file) { file.keys.push_back(file.keys[0]); });
  for (const std::vector<int32_t>& shape : {std::vector<int32_t>{3, 2}, {-1, -64}, {}})
    refused_when({"comfy.gguf.orig_shape.a", "64 numbers"}, [&](auto& file) {
      file.keys.push_back(test::gguf_list_key<int32_t>("comfy.gguf.orig_shape.a", 5, shape));
    });
}

TEST_F(GgufFaults, ScalesThatAreNotFiniteAreReportedWithTheTensor) {
  for (const bool packed : {true, false}) {
    auto file = good;
    file.tensors.resize(1);
    file.tensors[0].data.replace(34, 2, std::string("\x00\x7c", 2));  // infinity
    test::write_bytes(folder / "x.gguf", file.bytes());
    auto weights = Weights::open(open_weight_file(folder / "x.gguf"), at::kCPU, at::kFloat);
    if (packed)
      weights.take_packed("a", 2, 32, Precision::model);
    else
      weights.take("a", {2, 32}, Precision::model);
    test::expect_error(ErrorKind::bad_input, {"x.gguf", "not finite: a"}, [&] { weights.finish(); });
  }
}

}  // namespace
}  // namespace t2v
