#include "train/clip_source.h"

#include <ATen/ATen.h>

#include <memory>

namespace t2v {

namespace {

class WorldSource : public ClipSource {
 public:
  WorldSource(std::vector<std::array<int64_t, 2>> sizes, double two_objects_share)
      : sizes_(std::move(sizes)), two_objects_share_(two_objects_share) {}

  TrainingClip training_clip(uint64_t seed, uint64_t index, std::size_t size, int64_t frames) const override {
    return draw(WorldRandom(seed, 2 * index), WorldSide::training, size, frames);
  }
  TrainingClip held_out_clip(uint64_t seed, uint64_t index, std::size_t size, int64_t frames) const override {
    return draw(WorldRandom(seed, 2 * index + 1), WorldSide::held_out, size, frames);
  }
  const std::vector<std::array<int64_t, 2>>& sizes() const override { return sizes_; }

 private:
  TrainingClip draw(WorldRandom random, WorldSide side, std::size_t size, int64_t frames) const {
    const auto [width, height] = sizes_.at(size);
    const auto scene = sample_world_scene(random, side, two_objects_share_);
    auto caption = world_caption(scene, random);
    return {render_world(scene, frames, width, height), std::move(caption), world_tracks(scene, frames, width, height)};
  }

  std::vector<std::array<int64_t, 2>> sizes_;
  double two_objects_share_;
};

}  // namespace

std::unique_ptr<ClipSource> make_world_source(std::vector<std::array<int64_t, 2>> sizes, double two_objects_share) {
  return std::make_unique<WorldSource>(std::move(sizes), two_objects_share);
}

}  // namespace t2v
