// How often a model makes what its prompt asks for: prompts from the procedural world, clips from the model,
// judged by judge_world.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "pipeline/plan/sizes.h"
#include "t2v/generate.h"
#include "t2v/observer.h"
#include "world/completion.h"
#include "world/judge/judge.h"
#include "world/world.h"

namespace t2v {

enum class AdherenceSource {
  model,         // clips generated from the captions
  autoencoder,   // the scenes' own pictures through the model's autoencoder: what the model could reach at
                 // best
  ground_truth,  // the scenes' own pictures: how far the judge itself is to be believed
};

// Seconds of a clip, from 0.
struct ClipPart {
  double from = 0, to = 0;
};

struct AdherenceOptions {
  int64_t prompts = 72;
  int64_t objects = 1;  // 1 or 2 in every scene
  WorldSide side = WorldSide::held_out;
  uint64_t seed = 1;  // of scenes, captions and noise; clip i depends on the seed and i alone
  AdherenceSource source = AdherenceSource::model;
  int64_t frames = 17;
  std::vector<ClipPart> parts;           // each judged as if it were a clip of its own; none: the whole clip
  std::vector<int> motions;              // only scenes with these; empty: all
  std::optional<Completion> completion;  // a part of each scene is given, as docs/tasks.md has it
  std::vector<PixelSize> sizes = {{128, 128}, {160, 96}, {96, 160}};  // in turn
  GenerationRequest request;  // model, device, dtype and sampling; the judge adds what a clip shows, its
                              // size, length and noise
  std::filesystem::path out;  // where the clips and judged.jsonl are kept; nowhere when empty
};

// One clip: what was asked for, what was seen. Of two objects both must be right; they are matched by colour.
struct JudgedClip {
  std::string caption;
  WorldScene scene;
  PixelSize size;
  JudgedScene judged;
  bool background = false, count = false, colour = false, shape = false, motion = false, object_size = false;
  double background_error = 0;  // of 255: the 99th percentile, over the pixels that are more than 8 from
                                // anything but background, of the channel that is furthest from it
  double closing = 0;  // how far the first frame is from the last one, by how far neighbours are from each
                       // other: mean difference of a value, by the median of the clip's
  std::optional<CompletionResult> completion;
  bool all_four() const { return background && colour && shape && motion; }
  std::string file;  // where it was kept
};

struct AdherenceReport {
  ClipPart part;                       // of the clips
  std::optional<GenerationPlan> plan;  // of the first clip, where a model made it
  std::vector<JudgedClip> clips;
  int64_t background = 0, count = 0, colour = 0, shape = 0, motion = 0, object_size = 0, all_four = 0;
  // Asked for → seen, by object; the last column counts objects that were not seen.
  std::array<std::array<int64_t, 9>, 8> shapes{};
  std::array<std::array<int64_t, 11>, 10> motions{};
  double background_error() const;            // median over the clips
  double closing() const;                     // likewise
  double position_error(double share) const;  // of completions, pixels: this share of the clips has less
  double kept_share() const;                  // of completions that kept all that was given
  double share(int64_t count_of) const {
    return clips.empty() ? 0 : static_cast<double>(count_of) / static_cast<double>(clips.size());
  }
};

// What was seen of an object of the scene: the object of its colour, or the largest one where the scene has
// no other.
std::optional<JudgedObject> find_object(const WorldScene& scene, const JudgedScene& judged,
                                        const WorldObject& object);

// Judges one clip against the scene it should show.
JudgedClip judge_clip(const WorldScene& scene, const JudgedScene& judged);

// JudgedClip::background_error of frames [3, T, H, W] in [-1, 1]; what differs from the background by more
// than 60 of 255 is something else.
double plain_background_error(const at::Tensor& frames, int background);

// JudgedClip::closing of frames [3, T, H, W]: 0 where there are less than two, or neighbours are the same.
double closing_distance(const at::Tensor& frames);

// Throws Error{usage} for options that make no sense.
void check_adherence(const AdherenceOptions& options);

// One report for each part of the clips, which are made as t2v generate makes them. Progress: stage "judge",
// clips. Throws Error{usage} for options that make no sense and for sizes and lengths that the model does not
// make, Error{bad_input} for a model that does not run at the world's 8 frames per second, Error{output} for
// a folder that cannot be written, and what generating throws.
std::vector<AdherenceReport> judge_model(const AdherenceOptions& options, Observer& observer);

Json clip_to_json(const JudgedClip& clip);
// The counts as shares of all clips, the two confusion tables, and how the clips were made.
Json report_to_json(const AdherenceReport& report, const AdherenceOptions& options);

}  // namespace t2v
