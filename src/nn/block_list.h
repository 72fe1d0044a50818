// The blocks of a network, which run one after the other: all kept in memory, or each read when its turn
// comes (Weights::are_by_block), the next one while the one before runs.
#pragma once

#include <ATen/core/grad_mode.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "weights/weights.h"

namespace t2v {

template <class Block>
class BlockList {
 public:
  using Make = std::function<Block(const WeightScope& scope, int64_t index)>;

  BlockList() = default;
  // scope / i is the scope of block i. Where blocks are read in turn, `make` is kept and called again, from
  // another thread; what is wrong with names and shapes is noted here all the same.
  BlockList(const WeightScope& scope, int64_t count, const Make& make)
      : count_(static_cast<std::size_t>(count)) {
    auto& weights = scope.weights();
    if (!weights.are_by_block()) {
      for (int64_t i = 0; i < count; ++i) blocks_.push_back(make(scope / i, i));
      return;
    }
    weights.skim(true);
    for (int64_t i = 0; i < count; ++i) make(scope / i, i);
    weights.skim(false);
    read_ = [scope, make, anew = std::make_shared<const Weights>(weights.anew())](std::size_t index,
                                                                                  bool check) {
      const at::NoGradGuard no_grad;
      auto own = *anew;
      own.check_numbers(check);
      auto block = make(scope.of(own) / static_cast<int64_t>(index), static_cast<int64_t>(index));
      own.require_no_problems();
      return block;
    };
  }

  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }

  // use(block, index) for each in order. Throws Error{bad_input} where a block is read that holds NaN.
  template <class Use>
  void each(const Use& use) const {
    if (!read_) {
      for (std::size_t i = 0; i < count_; ++i) use(blocks_[i], i);
      return;
    }
    const bool check = !checked_->load();
    const auto begin = [&](std::size_t index) { return std::async(std::launch::async, read_, index, check); };
    auto next = begin(0);
    for (std::size_t i = 0; i < count_; ++i) {
      const Block block = next.get();
      if (i + 1 < count_) next = begin(i + 1);
      use(block, i);
    }
    checked_->store(true);
  }

 private:
  std::size_t count_ = 0;
  std::vector<Block> blocks_;                                 // where they are kept
  std::function<Block(std::size_t index, bool check)> read_;  // where they are not
  // Whether all numbers were found to be finite, which they then stay.
  std::shared_ptr<std::atomic<bool>> checked_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace t2v
