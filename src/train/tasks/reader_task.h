// Training the picture book's reader on renderings.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "train/data/ahead.h"
#include "train/tasks/task.h"
#include "world/book/reader.h"

namespace t2v {

struct ReaderTaskConfig {
  uint64_t seed = 1;
  int64_t lanes = 8;
  int64_t pixels_per_lane = 1'200'000;  // clips of one size and length are put together up to so many pixels
  std::vector<int64_t> frames = {17};   // lengths of clips, drawn evenly; without cuts
  double softened_share = 0.5;          // of clips that lose detail and get spots, as an autoencoder's do
  int64_t evaluation_clips = 200;
  BookReaderConfig network;
  std::vector<std::array<int64_t, 2>> sizes;  // {width, height}, drawn evenly
  double two_things = 0.25;
  int64_t drawing_threads = 1;  // that make the next step's clips beside the step; they change no number
};

// What is at every cell of the frames that a reader looks at, int64 [T', h, w]: 1 + noun within a thing, 0
// where there is scenery, -1 around a thing's rim. What is in front counts.
at::Tensor reader_labels(const BookShot& shot, int64_t width, int64_t height);

// The parameters of a reader.
TensorShapes reader_shapes(const BookReaderConfig& config);

class ReaderTask : public TrainingTask {
 public:
  explicit ReaderTask(const ReaderTaskConfig& config);

  void begin_step(int64_t step, double progress, Workers& workers) override;
  int64_t lanes() const override { return config_.lanes; }
  LaneLoss lane_loss(int64_t lane, const ParameterSet& replica) override;
  // Of held-out renderings, the share whose "things", "motions" (of all things), "place" and "camera" are
  // read rightly, and "all" of them.
  Metrics evaluate(const ParameterSet& average) override;

 private:
  struct Batch {
    at::Tensor frames;         // [B, 3, T, H, W]
    at::Tensor cells;          // int64 [B, T', h, w], reader_labels
    at::Tensor nouns;          // int64 [B, 2], the first one twice where there is no second
    at::Tensor motions;        // int64 [B, 2]
    at::Tensor place, camera;  // int64 [B]
  };
  Batch make_batch(int64_t step, int64_t lane) const;

  ReaderTaskConfig config_;
  int64_t step_ = 0;
  Ahead<Batch> batches_;
};

}  // namespace t2v
