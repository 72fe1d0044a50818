// Templates of the world's shapes, compared with what an object covers in a frame.
#pragma once

#include <vector>

#include "world/judge/judge_layers.h"

namespace t2v {

// World units and radians, as world_tracks.
struct Pose {
  float x = 0, y = 0, radius = 0, angle = 0;
};

// How the frames' outlines are softened: a Gaussian of so many pixels, then steepened about one half.
// Steepening leaves edges sharp but corners round, as autoencoders do.
struct Softening {
  int64_t margin = 0;
  std::vector<float> taps;
  float gain = 1;
  Softening(float sigma, float steepening);
};

// Σ weight (alpha - template)² - Σ weight alpha² over the frame, for the shape drawn at `pose` and softened.
double template_difference(const CoverageFrame& frame, int shape, const Pose& pose,
                           const Softening& softening);

}  // namespace t2v
