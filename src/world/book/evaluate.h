// How often clips of the picture book are read as what they should show (t2v eval world2).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/video_vae.h"
#include "t2v/observer.h"
#include "t2v/request.h"
#include "world/book/reader.h"

namespace t2v {

struct BookEvaluation {
  int64_t prompts = 1000;
  WorldSide side = WorldSide::held_out;
  uint64_t seed = 1;  // of scenes; clip i depends on the seed and i alone
  int64_t frames = 17;
  std::vector<std::array<int64_t, 2>> sizes = {{128, 128}};  // {width, height}, in turn
  double two_things = 0.25;
  int drawings = kBookDrawings;           // BookShares::drawings
  double sure = 0.5;                      // below that nothing is read
  const VideoVae* autoencoder = nullptr;  // the renderings as it gives them back
  // Of each clip only these seconds are read; to its end without `to`.
  double from = 0;
  std::optional<double> to;
};

// One clip of a single shot. Of two things both have to be right. Of a clip that was made from its caption,
// what the caption does not tell is not asked for, and cannot be wrong.
struct ReadClip {
  std::string caption;
  bool asks_motions = true, asks_place = true, asks_camera = true;
  std::array<int64_t, 2> size{};
  BookShot shot;
  BookReading read;
  bool things = false;   // those that are there, and no other
  bool motions = false;  // of all of them
  bool place = false, camera = false;
  double psnr = 0;   // after the autoencoder, dB
  std::string file;  // where it was kept
  bool all() const {
    return things && (motions || !asks_motions) && (place || !asks_place) && (camera || !asks_camera);
  }
};

// What was read beside what is shown.
ReadClip compare_reading(const BookShot& shot, const BookReading& read);

struct BookReport {
  std::vector<ReadClip> clips;
  // Clips with that right, and all that it asks for.
  int64_t things = 0, motions = 0, place = 0, camera = 0, all = 0;
  int64_t asked_motions = 0, asked_place = 0, asked_camera = 0;  // clips that ask for it
  int64_t not_sure = 0;                                          // clips of which something was not read
  std::optional<GenerationPlan> plan;                            // of the first clip, where a model made them
  double share(int64_t number, int64_t of) const {
    return of == 0 ? 0 : static_cast<double>(number) / static_cast<double>(of);
  }
  double share(int64_t number) const { return share(number, static_cast<int64_t>(clips.size())); }
};

// Of renderings. done: is told how many clips have been read.
BookReport evaluate_book(const BookReader& reader, at::Device device, const BookEvaluation& options,
                         const std::function<void(int64_t)>& done);

// Of clips that a model makes from the captions, as t2v generate makes them. request: model, device, dtype
// and sampling. out: where they are kept; nowhere when empty. Progress: stage "judge", clips. Throws what
// plan_asked_clip and generating throw.
BookReport evaluate_book_model(const BookReader& reader, at::Device device, const BookEvaluation& options,
                               const GenerationRequest& request, const std::filesystem::path& out,
                               Observer& observer);

Json read_clip_to_json(const ReadClip& clip);
// The shares, and what was taken for what.
Json book_report_to_json(const BookReport& report);

}  // namespace t2v
