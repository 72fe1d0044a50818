// The training loop: steps of a task, with care for what can go wrong on the way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "t2v/observer.h"
#include "train/loop/distributed.h"
#include "train/loop/optimizer.h"
#include "train/tasks/task.h"

namespace t2v {

struct ScheduleConfig {
  std::optional<int64_t> steps;   // the length of the stage: one of the two
  std::optional<double> minutes;  // of training time, evaluations and checkpoints left out
  int64_t warmup_steps = 100;     // linear, from 0
  double decay_share = 0.4;  // the last part of the stage, over which the learning rate falls to final_factor
  bool cosine = false;       // the shape of that fall; linear otherwise
  double final_factor = 0.0;
};

// The factor of the peak learning rate at `step`, `progress` (0 to 1) of the way through the stage.
double learning_rate_factor(const ScheduleConfig& schedule, int64_t step, double progress);

struct TrainerConfig {
  std::string stage;             // names files and log lines
  std::filesystem::path folder;  // of the run
  ScheduleConfig schedule;
  OptimizerConfig optimizer;
  int64_t workers = 1;
  double checkpoint_minutes = 5, evaluate_minutes = 10;
  int64_t log_steps = 20;
  double spike_factor = 10;  // a gradient norm that many times its running mean counts as a loss spike
  std::string fingerprint;   // of the settings: a checkpoint of other settings is refused
  bool resume = false;
};

// Hooks of the run around the loop.
struct TrainerHooks {
  // After an evaluation, with its metrics and the averaged weights; also at the end.
  std::function<void(const Metrics& metrics, const ParameterSet& average, int64_t step)> evaluated;
};

// Of a task with at least as many lanes as there are processes. Trains until the schedule ends and returns
// the averaged weights. Stopped by the observer (a signal), it writes a checkpoint first and throws on. NaN,
// infinity or a loss spike goes back to the last good checkpoint once in a stage, and on from there with the
// batches after the one that failed; the second time throws Error{non_finite}, also after a restart. Throws
// Error{output} when a checkpoint cannot be written (the one before stays), Error{usage} when resume finds a
// checkpoint of other settings.
ParameterSet train(TrainingTask& task, const ParameterSet& parameters, const TrainerConfig& config,
                   const Processes& processes, const TrainerHooks& hooks, Observer& observer);

}  // namespace t2v
