// A network that reads clips of the picture book back: which things there are, what each of them does, the
// place and the camera. It is trained on renderings (train/tasks/reader_task.h).
//
// Every second frame goes through a small convolutional network, which names the thing at every cell of 8x8
// pixels. Where a thing is in each frame, and what its cells hold, is a sequence over time that a second
// network reads its motion from. The camera is read from how the picture's parts drift from frame to frame
// (Lucas & Kanade 1981, in 4x4 regions).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>

#include "base/json.h"
#include "weights/weights.h"
#include "world/book/book.h"

namespace t2v {

struct BookReaderConfig {
  int64_t width = 32;  // channels at a quarter of the size; three times as many at an eighth
};

constexpr int64_t kReaderCell = 8;  // pixels; frames' sides are multiples of it

// The config, with the names of all that can be read: a reader knows the numbers of those.
Json book_reader_to_json(const BookReaderConfig& config);
// Throws Error{bad_input} for one of another vocabulary.
BookReaderConfig parse_book_reader_config(const Json& config, const std::string& where);

// What the network makes of B clips of one size.
struct BookSight {
  at::Tensor cells;          // [B, T', C, h, w] of the frames that are looked at
  at::Tensor nouns;          // log probabilities [B, T', 1 + nouns, h, w]; 0 is the scenery
  at::Tensor place, camera;  // logits [B, places], [B, cameras]
  at::Tensor scene;          // [B, D], what camera and place are read from
  double unit = 1;           // sqrt(width · height)
};

class BookReader {
 public:
  BookReader(const BookReaderConfig& config, const WeightScope& weights);
  ~BookReader();

  // frames float32 [B, 3, T, H, W] in [-1, 1], sides of 48 pixels and more. Throws Error{usage}.
  BookSight look(const at::Tensor& frames) const;
  // Logits [B, S, motions] of the things `nouns`, int64 [B, S].
  at::Tensor motions(const BookSight& sight, const at::Tensor& nouns) const;

 private:
  struct Network;
  std::unique_ptr<Network> network_;
};

// Of T frames, those that are looked at: every second one of nine and more.
int64_t reader_frame_step(int64_t frames);

// A folder with config.json and model.safetensors, as a trainer writes it. Throws Error{bad_input}.
std::unique_ptr<BookReader> load_book_reader(const std::filesystem::path& folder, at::Device device);

// What was read; -1 where it is not sure.
struct BookReading {
  struct Thing {
    int noun = 0, motion = -1;
    double noun_share = 0, motion_share = 0;  // how sure, 0 to 1
  };
  std::vector<Thing> things;  // at most two, the surest first
  int place = -1, camera = -1;
  double place_share = 0, camera_share = 0;
};

// A thing is seen where it has half of a cell in half of the frames; all else is read when it has at least
// `sure` of 1. frames [3, T, H, W], of one shot.
BookReading read_book(const BookReader& reader, const at::Tensor& frames, double sure = 0.5);

}  // namespace t2v
