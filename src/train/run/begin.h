// The model of a run before its first step.
#pragma once

#include <filesystem>

#include "t2v/observer.h"
#include "train/data/clip_source.h"
#include "train/run/setup.h"

namespace t2v {

// Makes RUN/model: the architecture with the config's changes, its tokenizer, and the weights that the config
// begins from. What can be wrong with the captions shows before anything is written. Throws Error: usage,
// bad_input, output.
void begin_model(const RunSetup& setup, const ClipSource& source, const std::filesystem::path& run,
                 Observer& observer);

// What the run's model was made of stays as it is when the run goes on. Throws Error{usage}.
void check_begun(const RunSetup& setup, const std::filesystem::path& run);

}  // namespace t2v
