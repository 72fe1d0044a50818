// What a training run shows: metrics.jsonl, and report.html made of it.
#pragma once

#include <filesystem>

#include "base/json.h"

namespace t2v {

// Appends one line. Throws Error{output}.
void append_metrics(const std::filesystem::path& run, const Json& line);

// One self-contained page: curves of loss, learning rate, speed, PSNR and adherence, and the clips of the last evaluation with their
// prompts. Throws Error{output}.
void write_training_report(const std::filesystem::path& run);

}  // namespace t2v
