// How often clips of the picture book are read as what they should show (t2v eval world2).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "models/video_vae.h"
#include "world/book/reader.h"

namespace t2v {

struct BookEvaluation {
  int64_t prompts = 1000;
  WorldSide side = WorldSide::held_out;
  uint64_t seed = 1;  // of scenes; clip i depends on the seed and i alone
  int64_t frames = 17;
  std::vector<std::array<int64_t, 2>> sizes = {{128, 128}};  // {width, height}, in turn
  double two_things = 0.25;
  double sure = 0.5;                      // below that nothing is read
  const VideoVae* autoencoder = nullptr;  // the renderings as it gives them back
};

// One clip of a single shot. Of two things both have to be right.
struct ReadClip {
  std::string caption;
  std::array<int64_t, 2> size{};
  BookShot shot;
  BookReading read;
  bool things = false;   // those that are there, and no other
  bool motions = false;  // of all of them
  bool place = false, camera = false;
  double psnr = 0;  // after the autoencoder, dB
  bool all() const { return things && motions && place && camera; }
};

// What was read beside what is shown.
ReadClip compare_reading(const BookShot& shot, const BookReading& read);

struct BookReport {
  std::vector<ReadClip> clips;
  int64_t things = 0, motions = 0, place = 0, camera = 0, all = 0;
  int64_t not_sure = 0;  // clips of which something was not read
  double share(int64_t number) const {
    return clips.empty() ? 0 : static_cast<double>(number) / static_cast<double>(clips.size());
  }
};

// done: is told how many clips have been read.
BookReport evaluate_book(const BookReader& reader, at::Device device, const BookEvaluation& options,
                         const std::function<void(int64_t)>& done);

Json read_clip_to_json(const ReadClip& clip);
// The shares, and what was taken for what.
Json book_report_to_json(const BookReport& report);

}  // namespace t2v
