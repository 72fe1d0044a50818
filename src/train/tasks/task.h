// What the trainer needs of something to train: a step's work, cut into lanes that can run on any thread of
// any process.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/json.h"
#include "train/loop/parameters.h"
#include "train/loop/workers.h"

namespace t2v {

// Sums over a lane, by name; "loss" and what it is a mean over, "weight", are always there.
using Metrics = std::map<std::string, double>;

// A lane's forward pass, on the device of its parameters: nothing of it has been waited for.
struct LaneLoss {
  at::Tensor loss;  // scalar; the gradients of all lanes together are those of the step's loss
  std::map<std::string, at::Tensor> metrics;  // scalars without gradients, on any device
};

class TrainingTask {
 public:
  virtual ~TrainingTask() = default;

  // What has to be there before the first step and takes long: does a part of it, and says how far it is. Not
  // counted as training.
  struct Preparation {
    int64_t done = 0, total = 0;
  };
  virtual Preparation prepare(int64_t /*step*/, Workers& /*workers*/) { return {}; }
  // Decides what the step's lanes work on: the same for the same step, whatever ran before and on whichever
  // process. progress: of the whole schedule, 0 to 1.
  virtual void begin_step(int64_t step, double progress, Workers& workers) = 0;
  virtual int64_t lanes() const = 0;
  // Called on several threads at once, each with a replica of its own.
  virtual LaneLoss lane_loss(int64_t lane, const ParameterSet& replica) = 0;
  // Measured on data that is never trained on, with the averaged weights.
  virtual Metrics evaluate(const ParameterSet& average) = 0;
};

// Forward and backward of one lane: its gradients are added to the replica's.
Metrics run_lane(TrainingTask& task, int64_t lane, const ParameterSet& replica);

}  // namespace t2v
