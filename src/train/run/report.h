// What a training run shows: metrics.jsonl, and report.html made of it.
#pragma once

#include <filesystem>

#include "base/json.h"

namespace t2v {

// Appends one line. Throws Error{output}.
void append_metrics(const std::filesystem::path& run, const Json& line);

// RUN/samples/NAME: the clips of one evaluation and their judged.jsonl. Names sort by stage and step.
std::string sample_folder_name(const std::string& stage, int64_t step);

// One self-contained page: curves of loss, learning rate, speed, PSNR and adherence, the clips of some
// prompts as they became better from evaluation to evaluation, and more clips of the last one. Throws
// Error{output}.
void write_training_report(const std::filesystem::path& run);

}  // namespace t2v
