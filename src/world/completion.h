// Scenes of which a part is given and the rest is made (docs/tasks.md), so that what is made can be compared
// with what the world would have shown.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "t2v/request.h"
#include "world/world.h"

namespace t2v {

enum class Completion {
  image,     // the first frame is given
  ends,      // the first and the last one
  extend,    // the first half
  backward,  // the second half
  connect,   // all but 8 frames in the middle, as two videos
  fill,      // the same, as one video with damaged frames
  mask,      // all but the object and what is around it
};
const std::vector<std::string>& completion_names();

// How near a completed clip is to the scene.
struct CompletionResult {
  double position_error = 0;    // pixels, between the middles of the object: mean over the frames that were
                                // made
  bool kept_is_source = false;  // every given frame, or pixel, is the source's to the last bit
};

// Writes what is given as pictures below `folder` and names them in the request; the clip will have as many
// frames as `truth`. truth: render_world's clip of a scene of one object, [3, T, H, W], T = 1 + 4·k, at least
// 25.
void give_part(GenerationRequest& request, Completion task, const WorldScene& scene, const at::Tensor& truth,
               const std::filesystem::path& folder);

// made: the completed clip, as `truth`.
CompletionResult compare_completion(Completion task, const WorldScene& scene, const at::Tensor& truth,
                                    const at::Tensor& made);

}  // namespace t2v
