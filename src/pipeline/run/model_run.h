// What generate_all does for the clips of one model.
#pragma once

#include <vector>

#include "pipeline/run/clip_task.h"
#include "pipeline/run/reporter.h"
#include "t2v/generate.h"

namespace t2v {

// Makes the clips of one model on one device in one dtype: networks are loaded once for all of them. Every
// task has its outcome when this returns, unless the run was stopped. Throws what ends the run. only_model:
// all clips of the run are of this model, so that what is wrong with it is the run's failure and not each
// clip's.
void run_model(std::vector<ClipTask> tasks, BatchLimits limits, bool only_model, Reporter& reporter,
               const FrameReceiver& frames, PreparationTimes& times);

}  // namespace t2v
