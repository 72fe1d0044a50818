// The picture book as a source of clips.
#include <algorithm>

#include "base/json.h"
#include "train/data/endless_source.h"

namespace t2v {

namespace {

constexpr int64_t kCaptionFrames = 17;

class BookSource : public EndlessSource {
 public:
  BookSource(std::vector<std::array<int64_t, 2>> sizes, const BookShares& shares)
      : EndlessSource(std::move(sizes)), shares_(shares) {}

  std::string fingerprint() const override {
    Json json{{"data", "picture book"},
              {"sizes", sizes()},
              {"two_things", shares_.two_things},
              {"cuts", shares_.cuts}};
    // As without it for caches and runs that draw all of them.
    if (shares_.drawings != kBookDrawings) json["drawings"] = shares_.drawings;
    return json.dump();
  }
  std::vector<std::string> training_captions(uint64_t seed) const override {
    constexpr uint64_t count = 20'000;
    std::vector<std::string> captions;
    for (uint64_t index = 0; index < count; ++index) {
      WorldRandom random(seed, 2 * index);
      const int64_t frames = shares_.cuts > 0 ? 2 * kCaptionFrames - 1 : kCaptionFrames;
      captions.push_back(
          book_caption(sample_book_scene(random, WorldSide::training, frames, shares_), random).text);
    }
    return captions;
  }

 private:
  TrainingClip draw(WorldRandom random, WorldSide side, std::size_t size, int64_t frames) const override {
    const auto [width, height] = sizes().at(size);
    const auto scene = sample_book_scene(random, side, frames, shares_);
    TrainingClip clip;
    clip.caption = book_caption(scene, random).text;
    clip.frames = render_book(scene, width, height);
    for (const auto& shot : scene.shots)
      for (const auto& poses : book_poses(shot, width, height))
        clip.tracks.push_back(track_of(poses, width, height));
    return clip;
  }

  // In world 1's units: of the shorter side, from the middle of the frame.
  static WorldTrack track_of(const std::vector<BookPose>& poses, int64_t width, int64_t height) {
    const auto unit = static_cast<double>(std::min(width, height));
    WorldTrack track;
    for (const auto& pose : poses) {
      track.x.push_back(static_cast<float>((pose.x - static_cast<double>(width) / 2) / unit));
      track.y.push_back(static_cast<float>((pose.y - static_cast<double>(height) / 2) / unit));
      track.angle.push_back(static_cast<float>(2 * 3.14159265358979 * pose.angle));
      track.radius.push_back(static_cast<float>(pose.size / 2 / unit));
    }
    return track;
  }

  BookShares shares_;
};

}  // namespace

std::unique_ptr<ClipSource> make_book_source(std::vector<std::array<int64_t, 2>> sizes,
                                             const BookShares& shares) {
  return std::make_unique<BookSource>(std::move(sizes), shares);
}

}  // namespace t2v
