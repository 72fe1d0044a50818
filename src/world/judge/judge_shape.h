// Which shape an object is, and where it is in every frame: templates of all shapes fitted to its coverage.
#pragma once

#include <vector>

#include "world/judge/judge_template.h"

namespace t2v {

constexpr int64_t kJudgedFrames = 5;  // in fewer, no motion can be told from another

struct FittedFrame {
  bool present = false;
  bool radius_known = false;  // enough of the object lies in the frame to see how large it is
  float visible = 0;          // share of the template within the frame
  Pose pose;
};

struct FittedShape {
  int shape = 0;
  bool spinning = false;  // the template had to turn with time to fit
  double misfit = 0;      // squared differences of coverage over the coverage itself, of the frames used to
                          // choose the shape
  std::vector<FittedFrame> frames;  // at angle 0 unless spinning
};

FittedShape fit_shape(const ObjectLayer& layer);

}  // namespace t2v
