#include "nn/block_list.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "errors.h"
#include "weights.h"

namespace t2v {
namespace {

// Counts how many of it there are.
struct Block {
  at::Tensor weight;
  std::shared_ptr<int> alive;
};

struct Blocks {
  explicit Blocks(std::vector<std::pair<std::string, at::Tensor>> tensors)
      : weights(test::weights_of(tensors)) {}
  BlockList<Block> make(int64_t count) {
    BlockList<Block> list(weights.root() / "blocks", count, [this](const WeightScope& scope, int64_t) {
      return Block{scope.take("weight", {2}), std::shared_ptr<int>(token, token.get())};
    });
    weights.finish();
    return list;
  }
  // The list's sum of weights, and how many blocks there were at most.
  static std::pair<float, long> sum(const BlockList<Block>& list) {
    float total = 0;
    long most = 0;
    std::size_t expected = 0;
    list.each([&](const Block& block, std::size_t index) {
      EXPECT_EQ(index, expected++);
      total = 10 * total + block.weight.sum().item<float>();
      most = std::max(most, block.alive.use_count());
    });
    EXPECT_EQ(expected, list.size());
    return {total, most};
  }

  std::shared_ptr<int> token = std::make_shared<int>();
  Weights weights;
};

std::vector<std::pair<std::string, at::Tensor>> numbers(int64_t count) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (int64_t i = 0; i < count; ++i)
    tensors.emplace_back("blocks." + std::to_string(i) + ".weight", at::full({2}, 0.5 * double(i + 1)));
  return tensors;
}

TEST(BlockList, IsTheSameKeptOrReadInTurn) {
  Blocks kept(numbers(6)), read(numbers(6));
  const auto all = kept.make(6);
  read.weights.keep_by_block();
  const auto in_turn = read.make(6);
  EXPECT_EQ(read.token.use_count(), 1);  // nothing is kept
  const auto [expected, there] = Blocks::sum(all);
  EXPECT_EQ(expected, 123456.0F);
  EXPECT_EQ(there, 7);
  for (int round = 0; round < 2; ++round) {
    const auto [total, most] = Blocks::sum(in_turn);
    EXPECT_EQ(total, expected);
    EXPECT_LE(most, 3);  // the list's own, the block that is used, the next one
  }
  EXPECT_EQ(read.token.use_count(), 1);
}

TEST(BlockList, NamesWhatIsMissingBeforeAnythingIsRead) {
  Blocks blocks(numbers(3));
  blocks.weights.keep_by_block();
  test::expect_error(ErrorKind::bad_input, {"missing: blocks.3.weight"}, [&] { blocks.make(4); });
  Blocks more(numbers(3));
  more.weights.keep_by_block();
  test::expect_error(ErrorKind::bad_input, {"unexpected: blocks.2.weight"}, [&] { more.make(2); });
}

TEST(BlockList, FindsWhatIsNotFiniteWhenItIsRead) {
  auto tensors = numbers(3);
  tensors[1].second[0] = std::numeric_limits<float>::quiet_NaN();
  Blocks blocks(tensors);
  blocks.weights.keep_by_block();
  const auto list = blocks.make(3);
  test::expect_error(ErrorKind::bad_input, {"not finite: blocks.1.weight"}, [&] { Blocks::sum(list); });
}

}  // namespace
}  // namespace t2v
