// What a clip of the procedural world shows, read back from its frames alone: the independent check of
// whether a model did what its prompt asked for. docs/world.md says how well it reads pictures whose content
// is known.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace t2v {

// Indices into the tables of world/world.h; motion is -1 for clips of fewer than 5 frames.
struct JudgedObject {
  int colour = -1, shape = -1, motion = -1, size = -1;
  double visible_area = 0;  // mean over the frames, in world units squared
  double misfit = 0;  // 0: the shape's outline fits its pixels exactly; about 0.3 and more: it fits badly
};

struct JudgedScene {
  int background = -1;
  std::vector<JudgedObject> objects;  // the largest visible area first; none when everything is background
};

// frames float32 in [-1, 1] or uint8, [3, T, H, W], 8 frames per second. Throws Error{usage} for another
// shape or type.
JudgedScene judge_world(const at::Tensor& frames);

}  // namespace t2v
