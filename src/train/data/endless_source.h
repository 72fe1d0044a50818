// What sources without end share: clip `index` is drawn from random numbers of its own, apart on the side
// that is never trained on.
#pragma once

#include <utility>

#include "train/data/clip_source.h"

namespace t2v {

class EndlessSource : public ClipSource {
 public:
  explicit EndlessSource(std::vector<std::array<int64_t, 2>> sizes) : sizes_(std::move(sizes)) {}

  std::size_t size_of(uint64_t seed, uint64_t index) const override {
    return WorldRandom(seed ^ 0x5e1ec7, index).index(sizes_.size());
  }
  TrainingClip training_clip(uint64_t seed, uint64_t index, std::size_t size, int64_t frames) const override {
    return draw(WorldRandom(seed, 2 * index), WorldSide::training, size, frames);
  }
  TrainingClip held_out_clip(uint64_t seed, uint64_t index, std::size_t size, int64_t frames) const override {
    return draw(WorldRandom(seed, 2 * index + 1), WorldSide::held_out, size, frames);
  }
  const std::vector<std::array<int64_t, 2>>& sizes() const override { return sizes_; }

 private:
  virtual TrainingClip draw(WorldRandom random, WorldSide side, std::size_t size, int64_t frames) const = 0;

  std::vector<std::array<int64_t, 2>> sizes_;
};

}  // namespace t2v
