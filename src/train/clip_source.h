// Where training clips come from.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "train/world.h"

namespace t2v {

struct TrainingClip {
  at::Tensor frames;  // float32 [3, T, H, W] in [-1, 1]
  std::string caption;
  std::vector<WorldTrack> tracks;  // where things are, if the source knows
};

// One of `clips()` clips, or of an endless number. Safe to call from several threads.
class ClipSource {
 public:
  virtual ~ClipSource() = default;
  // Clip number `index` of the training side at a trained size (an index into sizes()) and length; the same for the same arguments.
  virtual TrainingClip training_clip(uint64_t seed, uint64_t index, std::size_t size, int64_t frames) const = 0;
  // The same on the side that is never trained on.
  virtual TrainingClip held_out_clip(uint64_t seed, uint64_t index, std::size_t size, int64_t frames) const = 0;
  virtual const std::vector<std::array<int64_t, 2>>& sizes() const = 0;  // {width, height}
};

// The procedural world, without end. Caption dropout is not the source's business.
std::unique_ptr<ClipSource> make_world_source(std::vector<std::array<int64_t, 2>> sizes, double two_objects_share);

}  // namespace t2v
