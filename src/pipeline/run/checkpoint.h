// A clip in the middle of denoising, on disk: what it takes to go on exactly where a stopped run was. One
// safetensors file: the sample, the scheduler's memory, the state of the clip's noise generator, and in its
// metadata the settings that the clip's latents depend on.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <string>

#include "schedulers/scheduler.h"
#include "t2v/generate.h"

namespace t2v {

struct Checkpoint {
  int64_t window = 0;        // the window that it stands in
  int64_t step = 0;          // steps done
  at::Tensor values;         // float32 [n, C·pt·ph·pw], the sample after them, as packed tokens
  SchedulerHistory history;  // of this clip's values alone
  at::Tensor generator;      // uint8, state of the clip's noise generator
};

// ".NAME.checkpoint.safetensors" beside the clip, or in `folder` with a hash of the clip's path in its name.
std::filesystem::path checkpoint_path(const PlannedClip& clip, const std::string& folder);

// Throws Error{output}.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint,
                     const GenerationPlan& plan, const PlannedClip& clip, const std::string& model_hash);

// Nothing when there is no such file. Throws Error{usage} naming what differs when the checkpoint is of other
// settings, another model or another libtorch, Error{bad_input} when the file is no checkpoint.
std::optional<Checkpoint> read_checkpoint(const std::filesystem::path& path, const GenerationPlan& plan,
                                          const PlannedClip& clip, const std::string& model_hash);

// With the latents of finished windows.
void remove_checkpoint(const std::filesystem::path& path);

// The latents of a window that is done, beside the clip's checkpoint: a clip that goes on decodes them again,
// since its video is written from the start.
std::filesystem::path window_latents_path(const std::filesystem::path& checkpoint, std::size_t window);

// The memory of a scheduler that has worked on the values of several clips one below the other, and back:
// rows begin ... end.
SchedulerHistory history_rows(const SchedulerHistory& history, int64_t begin, int64_t end);
SchedulerHistory join_histories(const std::vector<SchedulerHistory>& histories);

}  // namespace t2v
