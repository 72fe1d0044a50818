// Text to video, in two steps: decide what will be done, then do it.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "t2v/error.h"
#include "t2v/observer.h"
#include "t2v/request.h"

namespace t2v {

// Resolves sizes, defaults and file names and checks everything that can be checked before weights are
// loaded: prompt, output names and folders, the model's configs. What it has read of a model folder it keeps,
// and which output folders can be written, so that planning a thousand items looks at each folder once.
class T2V_API Planner {
 public:
  Planner();
  ~Planner();
  Planner(const Planner&) = delete;
  Planner& operator=(const Planner&) = delete;

  // Throws Error{usage, bad_input, output}.
  GenerationPlan plan(const GenerationRequest& request);

 private:
  struct OpenModel;
  struct Sources;
  std::map<std::string, std::unique_ptr<OpenModel>> models_;  // by name or folder, as asked for
  std::unique_ptr<Sources> sources_;                      // what was read of pictures and videos, by rate
  std::set<std::string> writable_;                        // folders that files could be created in
};

// Planner().plan(request).
T2V_API GenerationPlan plan_generation(const GenerationRequest& request);

// Measures the device for a moment. Nothing where it cannot be measured. Throws as plan_generation does.
T2V_API std::optional<TimeEstimate> estimate_time(const GenerationPlan& plan);

// The plan as a JSON document, for people and scripts.
T2V_API std::string plan_to_json(const GenerationPlan& plan);

// What holds for a run of many clips as a whole. What is absent comes from the plans.
struct BatchLimits {
  std::optional<int64_t> token_budget = {};  // tokens of one forward pass, all clips and guidance branches
                                             // together
  std::optional<int64_t> memory_limit = {};  // bytes that the process may use
  std::optional<int64_t> checkpoint_every = {};  // denoising steps
  std::string checkpoint_folder = {};            // empty: beside each clip
  bool restart_changed = false;  // a clip whose checkpoint is of other settings starts anew instead of
                                 // failing
};

// What became of one clip: a result or an error, never both.
struct ClipOutcome {
  std::size_t plan = 0, clip = 0;  // indices into the plans given, and into that plan's clips
  std::optional<ClipResult> result;
  std::optional<Error> error;
};

// Frames of a clip, in order, as they are made.
struct FrameBlock {
  int64_t first = 0;  // its number in the clip; 0 begins the clip, and begins it anew where memory did not
                      // suffice
  int64_t frames = 0, height = 0, width = 0;
  const float* values = nullptr;  // [3, frames, height, width]: red, green and blue in [-1, 1], during the call
};
using FrameReceiver = std::function<void(std::size_t plan, std::size_t clip, const FrameBlock& frames)>;

// Makes the clips of all plans. Plans of one model, device and dtype share the loaded networks; clips of any
// order, size, length and prompt are denoised together where that is quicker, and handed to `finished` as
// each has its final name or has failed. On the CPU a clip's bytes do not depend on what else the run makes.
// A clip that fails does not stop the others, whatever the reason: its Error comes in its outcome. What could
// not be written leaves its latents beside its name, where that is possible; where a folder takes no file any
// more (a full disk), clips that would go there are not begun. When an allocation fails, a pack goes on in
// halves and decoding in smaller chunks, with a note; a clip that does not fit by itself has
// Error{out_of_memory}. What ends the run early is thrown: an Error{interrupted, terminated} of the observer,
// what `finished` itself throws, and, where all clips are of one model, what is wrong with that model. Every
// clip has one outcome, unless the run ended early. Observer and `finished` are called from threads other
// than the caller's: clip_started and `finished` one call at a time, and the observer's other functions one
// call at a time, but the two may overlap, so that denoising does not wait while a clip is received. Clips
// that were planned to_receiver go to `frames`: the blocks of one clip one after the other, those of several
// clips side by side.
T2V_API PreparationTimes generate_all(const std::vector<GenerationPlan>& plans, const BatchLimits& limits,
                                      Observer& observer,
                                      const std::function<void(const ClipOutcome&)>& finished,
                                      const FrameReceiver& frames = {});

// Makes the clips of one plan by generate_all; the observer's calls come one at a time, `finished` may run
// beside them. A clip that fails does not stop the others: with several clips each failure is a note, and
// when all have been tried the Error of the first that failed is thrown, with how many there were.
T2V_API GenerationResult generate(const GenerationPlan& plan, Observer& observer,
                                  const std::function<void(const ClipResult&)>& finished);

T2V_API std::string version();

}  // namespace t2v
