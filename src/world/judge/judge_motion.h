// Which of the world's motions a track is.
#pragma once

#include <vector>

#include "world/judge/judge_shape.h"

namespace t2v {

struct FittedMotion {
  int motion = 0;
  double misfit = 0;  // mean squared distance of the track from the motion's, world units squared, with what
                      // unlikely parameters cost
  float radius = 0;   // at rest
};

// The motion, but for spinning, that explains positions and radii best. half_width, half_height: of the frame
// in world units.
FittedMotion fit_motion(const std::vector<FittedFrame>& track, float half_width, float half_height);

}  // namespace t2v
