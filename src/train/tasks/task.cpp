#include "train/tasks/task.h"

#include <ATen/ATen.h>

namespace t2v {

Metrics run_lane(TrainingTask& task, int64_t lane, const ParameterSet& replica) {
  const auto found = task.lane_loss(lane, replica);
  found.loss.backward();
  Metrics metrics;
  for (const auto& [name, value] : found.metrics) metrics[name] = value.item<double>();
  return metrics;
}

}  // namespace t2v
