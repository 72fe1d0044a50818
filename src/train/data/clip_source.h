// Where training clips come from.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "t2v/observer.h"
#include "world/book/book.h"
#include "world/world.h"

namespace t2v {

struct TrainingClip {
  at::Tensor frames;  // float32 [3, T, H, W] in [-1, 1]
  std::string caption;
  std::vector<WorldTrack> tracks;    // where things are, if the source knows
  std::vector<WorldObject> objects;  // and what
};

// Clips by number. Safe to call from several threads; the same arguments give the same clip.
class ClipSource {
 public:
  virtual ~ClipSource() = default;
  // Which of sizes() clip `index` is trained at.
  virtual std::size_t size_of(uint64_t seed, uint64_t index) const = 0;
  // Clip `index` of the training side at sizes()[size], of at most `frames` frames, which are 1 + r·k for the
  // autoencoder's temporal ratio r.
  virtual TrainingClip training_clip(uint64_t seed, uint64_t index, std::size_t size,
                                     int64_t frames) const = 0;
  // The same on the side that is never trained on.
  virtual TrainingClip held_out_clip(uint64_t seed, uint64_t index, std::size_t size,
                                     int64_t frames) const = 0;
  virtual const std::vector<std::array<int64_t, 2>>& sizes() const = 0;  // {width, height}
  // Changes when the same arguments give another clip or caption.
  virtual std::string fingerprint() const = 0;
  // Captions of the training side as they occur, for a tokenizer: all of a folder's, many of a source without
  // end.
  virtual std::vector<std::string> training_captions(uint64_t seed) const = 0;
};

// The procedural world, without end. On the side that is never trained on, all shapes and motions are as
// frequent.
std::unique_ptr<ClipSource> make_world_source(std::vector<std::array<int64_t, 2>> sizes, WorldShares shares);

// World 2, without end: nothing that book_held_out holds out is ever drawn on the training side, and nothing
// else on the other. Its clips have tracks and no objects, which are world 1's.
std::unique_ptr<ClipSource> make_book_source(std::vector<std::array<int64_t, 2>> sizes,
                                             const BookShares& shares);

// A folder of captioned clips (list_clip_folder), brought to `fps` and cut to 1 + temporal_ratio·k frames.
// Where there are twenty clips, about one in twenty is held out, by its name: a clip stays on its side when
// others come or go. What is read otherwise than it is stored is said to `observer`, a line each. Throws
// Error{bad_input} with everything that is wrong with the folder.
std::unique_ptr<ClipSource> make_folder_source(const std::filesystem::path& folder,
                                               std::vector<std::array<int64_t, 2>> sizes, double fps,
                                               int64_t temporal_ratio, Observer& observer);

}  // namespace t2v
