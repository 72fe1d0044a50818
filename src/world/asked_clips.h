// Clips of the procedural worlds that a model makes from captions, as t2v generate makes them, for a judge.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "pipeline/components.h"
#include "pipeline/plan/sizes.h"
#include "t2v/generate.h"
#include "t2v/observer.h"

namespace t2v {

struct AskedClip {
  std::string prompt;
  PixelSize size;
  int64_t frames = 17;  // at the worlds' 8 frames per second
  uint64_t seed = 0;    // of the noise
};

// Throws Error{bad_input} for a model that does not run at the worlds' 8 frames per second.
void require_world_fps(const ModelFolder& folder);

// common: model, device, dtype and sampling.
GenerationRequest request_for(GenerationRequest common, const AskedClip& clip);
// Throws Error{usage} for what the model would round: that would be another clip than the one that is judged.
GenerationPlan plan_asked_clip(Planner& planner, const GenerationRequest& request, const AskedClip& clip);

// Hands each clip [3, T, H, W] to `made` as it is complete, in any order, and on any thread.
using ClipReceiver = std::function<void(std::size_t clip, const at::Tensor& frames)>;
void generate_asked_clips(const std::vector<GenerationPlan>& plans, Observer& observer,
                          const ClipReceiver& made);

// Hands on notes and the wish to stop, but not the steps of each pack of clips.
class WithoutSteps : public Observer {
 public:
  explicit WithoutSteps(Observer& observer) : observer_(observer) {}
  void note(const std::string& text) override { observer_.note(text); }
  void check_cancelled() override { observer_.check_cancelled(); }

 private:
  Observer& observer_;
};

// "00007.mp4", or .png of a single frame.
std::string clip_file_name(std::size_t index, int64_t frames);
// Writes a clip [3, T, H, W] with its caption.
void keep_clip(const at::Tensor& clip, const std::string& caption, const std::filesystem::path& path);

}  // namespace t2v
