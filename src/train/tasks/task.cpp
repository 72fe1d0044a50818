#include "train/tasks/task.h"

#include <ATen/ATen.h>

#include <vector>

namespace t2v {

Metrics run_lane(TrainingTask& task, int64_t lane, const ParameterSet& replica) {
  const auto found = task.lane_loss(lane, replica);
  found.loss.backward();
  Metrics metrics;
  // From a card in one piece: each transfer waits for all that was asked of it before.
  std::vector<std::string> names;
  std::vector<at::Tensor> values;
  for (const auto& [name, value] : found.metrics) {
    if (value.is_cpu()) {
      metrics[name] = value.item<double>();
      continue;
    }
    names.push_back(name);
    values.push_back(value.detach().to(at::kDouble));
  }
  if (values.empty()) return metrics;
  const auto numbers = at::stack(values).cpu();
  for (std::size_t i = 0; i < names.size(); ++i)
    metrics[names[i]] = numbers[static_cast<int64_t>(i)].item<double>();
  return metrics;
}

}  // namespace t2v
