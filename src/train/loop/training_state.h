// The state of a training stage on disk: one safetensors file, complete or absent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "train/loop/optimizer.h"

namespace t2v {

struct TrainingState {
  std::string fingerprint;  // of the settings it belongs to
  int64_t step = 0;         // steps done
  double seconds = 0;       // spent in them
  double norm_mean = 0;     // running mean of the gradient's norm
  int64_t skipped = 0;      // batches passed over after a step that failed; above 0: the stage has gone back
};

// Throws Error{output}; a file that was there before stays as it was.
void save_training_state(const std::filesystem::path& path, const Optimizer& optimizer,
                         const TrainingState& state);

// Restores the optimizer (parameters, averages, moments). Nothing when there is no such file. Throws
// Error{bad_input} for a damaged file, Error{usage} when its fingerprint is another than `fingerprint`.
std::optional<TrainingState> load_training_state(const std::filesystem::path& path, Optimizer& optimizer,
                                                 const std::string& fingerprint);

}  // namespace t2v
