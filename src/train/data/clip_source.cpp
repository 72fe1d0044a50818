#include "train/data/clip_source.h"

#include <ATen/ATen.h>
#include <xxhash.h>

#include <algorithm>
#include <memory>

#include "base/json.h"
#include "t2v/error.h"
#include "train/data/clip_folder.h"
#include "train/data/endless_source.h"

namespace t2v {

namespace {

class WorldSource : public EndlessSource {
 public:
  WorldSource(std::vector<std::array<int64_t, 2>> sizes, WorldShares shares)
      : EndlessSource(std::move(sizes)), shares_(std::move(shares)) {}

  std::string fingerprint() const override {
    Json json{{"data", "world"},
              {"sizes", sizes()},
              {"two_objects", shares_.two_objects},
              {"shapes", shares_.shapes},
              {"motions", shares_.motions}};
    if (!shares_.sizes.empty())
      json["object_sizes"] = shares_.sizes;  // as without it for caches and runs that draw them alike
    return json.dump();
  }
  std::vector<std::string> training_captions(uint64_t seed) const override {
    constexpr uint64_t count = 20'000;
    std::vector<std::string> captions;
    for (uint64_t index = 0; index < count; ++index)
      captions.push_back(captioned_scene(WorldRandom(seed, 2 * index), WorldSide::training).second);
    return captions;
  }

 private:
  std::pair<WorldScene, std::string> captioned_scene(WorldRandom random, WorldSide side) const {
    const auto shares = side == WorldSide::training ? shares_
                                                    : WorldShares{.two_objects = shares_.two_objects};
    auto scene = sample_world_scene(random, side, shares);
    auto caption = world_caption(scene, random);
    return {std::move(scene), std::move(caption)};
  }
  TrainingClip draw(WorldRandom random, WorldSide side, std::size_t size, int64_t frames) const override {
    const auto [width, height] = sizes().at(size);
    auto [scene, caption] = captioned_scene(random, side);
    return {render_world(scene, frames, width, height), std::move(caption),
            world_tracks(scene, frames, width, height), scene.objects};
  }

  WorldShares shares_;
};

constexpr uint64_t one_held_out_in = 20;

// The same on every machine and in every version: it decides which clips are held out.
uint64_t hash_of(const std::string& text) { return XXH3_64bits(text.data(), text.size()); }

class FolderSource : public ClipSource {
 public:
  FolderSource(const std::filesystem::path& folder, std::vector<std::array<int64_t, 2>> sizes, double fps,
               int64_t temporal_ratio, Observer& observer)
      : sizes_(std::move(sizes)), fps_(fps), temporal_ratio_(temporal_ratio) {
    for (const auto& [width, height] : sizes_) pixel_sizes_.push_back({width, height});
    const auto clips = list_clip_folder(folder);
    if (clips.empty()) throw Error(ErrorKind::bad_input, folder.string() + ": holds no clips to train on");
    for (const auto& clip : clips)
      for (const auto& note : clip.notes) observer.note(clip.file.string() + ": " + note);
    std::string listing;         // no JSON: a name may be no UTF-8
    std::vector<uint64_t> lots;  // by the clips' names
    for (const auto& clip : clips) {
      const auto name = clip.file.lexically_relative(folder).generic_string();
      lots.push_back(hash_of(name));
      for (const auto& part : {name, clip.caption, std::to_string(clip.frames),
                               std::to_string(clip.size.width), std::to_string(clip.size.height)})
        listing.append(part).push_back('\0');
    }
    fingerprint_ = Json{
        {"data", "xxh3 " + std::to_string(hash_of(listing))},
        {"clips", clips.size()},
        {"sizes", sizes_},
        {"fps", fps_}}.dump();
    const auto lowest = *std::min_element(lots.begin(), lots.end());
    for (std::size_t i = 0; i < clips.size(); ++i) {
      const bool held_out = clips.size() >= one_held_out_in &&
                            (lots[i] % one_held_out_in == 0 || lots[i] == lowest);
      (held_out ? held_out_ : training_).push_back(clips[i]);
    }
    if (held_out_.empty()) held_out_ = training_;
  }

  std::string fingerprint() const override { return fingerprint_; }

  std::size_t size_of(uint64_t, uint64_t index) const override {
    const auto bucket = choose_bucket(training_[index % training_.size()], pixel_sizes_, 1, temporal_ratio_,
                                      fps_);
    return static_cast<std::size_t>(std::find(pixel_sizes_.begin(), pixel_sizes_.end(), bucket.size) -
                                    pixel_sizes_.begin());
  }
  TrainingClip training_clip(uint64_t seed, uint64_t index, std::size_t size, int64_t frames) const override {
    return read(training_[index % training_.size()], WorldRandom(seed, index), size, frames);
  }
  TrainingClip held_out_clip(uint64_t seed, uint64_t index, std::size_t size, int64_t frames) const override {
    return read(held_out_[index % held_out_.size()], WorldRandom(seed, index), size, frames);
  }
  const std::vector<std::array<int64_t, 2>>& sizes() const override { return sizes_; }
  std::vector<std::string> training_captions(uint64_t) const override {
    std::vector<std::string> captions;
    for (const auto& clip : training_) captions.push_back(clip.caption);
    return captions;
  }

 private:
  // A part of the clip that begins anywhere, as long as it can be.
  TrainingClip read(const CaptionedClip& clip, WorldRandom random, std::size_t size, int64_t frames) const {
    const auto bucket = choose_bucket(clip, pixel_sizes_, frames, temporal_ratio_, fps_);
    const double seconds = clip.fps > 0 ? static_cast<double>(clip.frames) / clip.fps : 0;
    const double slack = std::max(0.0, seconds - static_cast<double>(bucket.frames) / fps_);
    const auto [width, height] = sizes_.at(size);
    return {
        read_clip(clip, width, height, bucket.frames, fps_, random.uniform() * slack), clip.caption, {}, {}};
  }

  std::vector<std::array<int64_t, 2>> sizes_;
  std::vector<PixelSize> pixel_sizes_;
  double fps_;
  int64_t temporal_ratio_;
  std::vector<CaptionedClip> training_, held_out_;
  std::string fingerprint_;
};

}  // namespace

std::unique_ptr<ClipSource> make_folder_source(const std::filesystem::path& folder,
                                               std::vector<std::array<int64_t, 2>> sizes, double fps,
                                               int64_t temporal_ratio, Observer& observer) {
  return std::make_unique<FolderSource>(folder, std::move(sizes), fps, temporal_ratio, observer);
}

std::unique_ptr<ClipSource> make_world_source(std::vector<std::array<int64_t, 2>> sizes, WorldShares shares) {
  return std::make_unique<WorldSource>(std::move(sizes), std::move(shares));
}

}  // namespace t2v
