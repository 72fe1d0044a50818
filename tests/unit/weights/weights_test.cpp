#include "weights/weights.h"

#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <limits>

#include "errors.h"
#include "paths.h"
#include "support.h"

namespace t2v {
namespace {

class ShardedWeights : public testing::Test {
 protected:
  ShardedWeights() {
    save_safetensors(folder / "m-1.safetensors", {{"a", at::arange(4).to(at::kFloat)}});
    save_safetensors(folder / "m-2.safetensors", {{"b", at::ones({2, 3})}, {"c", at::zeros({1})}});
  }
  void index(const std::string& map) const {
    test::write_bytes(folder / "m.safetensors.index.json",
                      R"({"metadata": {"total_size": 44}, "weight_map": )" + map + "}");
  }
  Weights open() const { return Weights::open(folder.path(), "m", at::kCPU, at::kFloat); }

  test::TemporaryFolder folder;
};

TEST_F(ShardedWeights, EqualASingleFile) {
  index(R"({"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-2.safetensors"})");
  const test::TemporaryFolder other;
  save_safetensors(other / "m.safetensors",
                   {{"a", at::arange(4).to(at::kFloat)}, {"b", at::ones({2, 3})}, {"c", at::zeros({1})}});
  auto sharded = open();
  auto single = Weights::open(other.path(), "m", at::kCPU, at::kFloat);
  EXPECT_EQ(sharded.element_count(), 11);
  EXPECT_EQ(single.element_count(), 11);
  const std::vector<std::pair<std::string, std::vector<int64_t>>> tensors = {
      {"a", {4}}, {"b", {2, 3}}, {"c", {1}}};
  for (const auto& [name, shape] : tensors)
    EXPECT_TRUE(
        at::equal(sharded.take(name, shape, Precision::model), single.take(name, shape, Precision::model)))
        << name;
  EXPECT_NO_THROW(sharded.finish());
  EXPECT_NO_THROW(single.finish());
}

TEST_F(ShardedWeights, StayInTheirFolder) {
  std::filesystem::create_directory(folder / "inside");
  for (const std::string file : {"\"../x.safetensors\"", "\"/etc/passwd\"", "\"inside/m-1.safetensors\"",
                                 "\"..\"", "\".\"", "\"\"", "\"m-1.safetensors\\u0000\"", "7", "null"}) {
    SCOPED_TRACE(file);
    index("{\"a\": " + file + "}");
    test::expect_error(ErrorKind::bad_input, {"m.safetensors.index.json", "'a'", "beside the index"},
                       [&] { open(); });
  }
}

TEST_F(ShardedWeights, NameWhatIsMissing) {
  index(R"({"a": "m-3.safetensors"})");
  test::expect_error(ErrorKind::bad_input,
                     {(folder / "m.safetensors.index.json").string(), "1 are not there: m-3.safetensors"},
                     [&] { open(); });
  index(R"({"a": "m-2.safetensors"})");
  test::expect_error(ErrorKind::bad_input, {"m.safetensors.index.json", "'a'", "m-2.safetensors"},
                     [&] { open(); });
  index(R"(["a"])");
  test::expect_error(ErrorKind::bad_input, {"m.safetensors.index.json", "weight_map"}, [&] { open(); });
  test::write_bytes(folder / "m.safetensors.index.json", "{}");
  test::expect_error(ErrorKind::bad_input, {"m.safetensors.index.json", "weight_map", "missing"},
                     [&] { open(); });
  test::expect_error(ErrorKind::bad_input,
                     {folder.path().string(), "n.safetensors", "n.safetensors.index.json"},
                     [&] { Weights::open(folder.path(), "n", at::kCPU, at::kFloat); });
}

class SingleFile : public testing::Test {
 protected:
  Weights open(const std::vector<std::pair<std::string, at::Tensor>>& tensors,
               at::ScalarType dtype = at::kFloat) const {
    save_safetensors(folder / "m.safetensors", tensors);
    return Weights::open(folder.path(), "m", at::kCPU, dtype);
  }
  test::TemporaryFolder folder;
};

TEST_F(SingleFile, ReportsEverythingThatDoesNotFitAtOnce) {
  const auto with = [](double value) { return at::tensor({1.0F, static_cast<float>(value)}); };
  auto weights = open({{"fits", at::ones({2})},
                       {"misshaped", at::ones({2, 3})},
                       {"integer", at::ones({2}, at::TensorOptions(at::kLong))},
                       {"nan", with(std::numeric_limits<double>::quiet_NaN())},
                       {"half_infinite", with(std::numeric_limits<double>::infinity()).to(at::kHalf)},
                       {"scaled", at::ones({2}).to(at::kFloat8_e8m0fnu)},
                       {"extra", at::ones({5, 7})}});
  EXPECT_TRUE(weights.take("missing", {3, 4}, Precision::model).is_meta());
  weights.take("fits", {2}, Precision::model);
  EXPECT_EQ(weights.take("misshaped", {3, 2}, Precision::model).sizes(), (std::vector<int64_t>{3, 2}));
  for (const char* name : {"integer", "nan", "half_infinite", "scaled"})
    weights.take(name, {2}, Precision::model);
  test::expect_error(
      ErrorKind::bad_input,
      {folder.path().string(), "7 problems", "missing: missing [3, 4]",
       "shape: misshaped should be [3, 2], found [2, 3]", "dtype: integer", "I64", "not finite: nan",
       "not finite: half_infinite", "dtype: scaled is F8_E8M0", "unexpected: extra [5, 7]"},
      [&] { weights.finish(); });
}

TEST_F(SingleFile, ReportsANumberThatOverflowsTheRunsDtype) {
  auto weights = open({{"large", at::full({2}, 1e6)}}, at::kHalf);
  weights.take("large", {2}, Precision::float32);
  EXPECT_NO_THROW(weights.finish());
  weights.take("large", {2}, Precision::model);
  test::expect_error(ErrorKind::bad_input, {"not finite: large", "float16"}, [&] { weights.finish(); });
}

TEST_F(SingleFile, NaNIsFoundWhereverItIsInALargeTensor) {
  constexpr int64_t count = (int64_t{2} << 20) + 3;
  for (const auto stored : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn}) {
    for (const int64_t place : {int64_t{0}, int64_t{1} << 20, count - 1}) {
      auto values = at::zeros({count});
      values[place] = std::numeric_limits<double>::quiet_NaN();
      auto weights = open({{"w", values.to(stored)}});
      weights.take("w", {count}, Precision::model);
      test::expect_error(ErrorKind::bad_input, {"not finite: w"}, [&] { weights.finish(); });
    }
  }
}

// The largest piece of memory that libtorch takes on this thread while it lives.
class LargestAllocation : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, std::size_t, std::size_t, c10::Device) override {
    largest = std::max(largest, bytes);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t largest = 0;
};

TEST_F(SingleFile, LookingForNaNCopiesNoWholeTensor) {
  for (const auto stored : {at::kFloat, at::kHalf, at::kBFloat16}) {
    auto weights = open({{"w", at::ones({8 << 20}, stored)}}, stored);
    const auto memory = std::make_shared<LargestAllocation>();
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, memory);
    weights.take("w", {8 << 20}, Precision::model);
    EXPECT_LE(memory->largest, 4 << 20) << stored;
    EXPECT_GT(memory->largest, 0) << stored;  // it does hear of memory
  }
}

TEST_F(SingleFile, IsCastToTheRunsDtypeOrKeptInFloat32) {
  const auto values = at::tensor({1.5F, -2.0F, 0.25F});
  for (const auto stored : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kFloat8_e4m3fn}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
      auto weights = open({{"w", values.to(stored)}}, dtype);
      const auto model = weights.take("w", {3}, Precision::model);
      const auto wide = weights.take("w", {3}, Precision::float32);
      ASSERT_NO_THROW(weights.finish());
      EXPECT_EQ(model.scalar_type(), dtype);
      EXPECT_EQ(wide.scalar_type(), at::kFloat);
      EXPECT_TRUE(at::equal(model.to(at::kFloat), values));
      EXPECT_TRUE(at::equal(wide, values));
    }
  }
}

TEST_F(SingleFile, IsTakenByScopesNamedAsTheCheckpoint) {
  auto weights = open({{"blocks.3.attn1.to_q.weight", at::ones({2})}, {"tied", at::ones({1})}});
  const auto attention = weights.root() / "blocks" / 3 / "attn1";
  EXPECT_TRUE((attention / "to_q").has("weight"));
  EXPECT_FALSE(attention.has("weight"));
  EXPECT_EQ((attention / "to_q").take("weight", {2}).numel(), 2);
  weights.root().ignore("tied");
  EXPECT_NO_THROW(weights.finish());
  ASSERT_EQ(weights.asked().size(), 1U);
  EXPECT_EQ(weights.asked()[0].first, "blocks.3.attn1.to_q.weight");
}

TEST(MetaWeights, GiveEveryTensorOnTheMetaDevice) {
  auto weights = Weights::meta(at::kBFloat16);
  const auto x = weights.take("anything", {3, 5}, Precision::model);
  EXPECT_TRUE(x.is_meta());
  EXPECT_EQ(x.scalar_type(), at::kBFloat16);
  EXPECT_EQ(weights.take("norm", {3}, Precision::float32).scalar_type(), at::kFloat);
  EXPECT_NO_THROW(weights.finish());
}

TEST(WeightsInMemory, ReportMissingMisshapedAndUnexpectedNames) {
  auto weights = Weights::from_tensors(
      {{"a", at::ones({2})}, {"b", at::ones({3})}, {"extra", at::ones({1})}});
  EXPECT_TRUE(at::equal(weights.take("a", {2}, Precision::model), at::ones({2})));
  weights.take("b", {4}, Precision::model);
  weights.take("gone", {5}, Precision::model);
  test::expect_error(ErrorKind::bad_input,
                     {"weights in memory", "b should be [4], found [3]", "missing: gone [5]", "extra"},
                     [&] { weights.finish(); });
}

TEST(WeightsInMemory, ACastIsPartOfTheGradient) {
  const auto leaf = at::ones({2}).requires_grad_(true);
  auto weights = Weights::from_tensors({{"a", leaf}}, {at::kBFloat16, at::kBFloat16});
  const auto taken = weights.take("a", {2}, Precision::model);
  EXPECT_EQ(taken.scalar_type(), at::kBFloat16);
  (taken.to(at::kFloat) * 3).sum().backward();
  EXPECT_TRUE(at::equal(leaf.grad(), at::full({2}, 3.0F)));
}

}  // namespace
}  // namespace t2v
