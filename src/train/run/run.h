// A training run: a config's stages one after the other, in a folder that a run which was stopped goes on in.
//
//   RUN/model/                     the model so far, a diffusers folder like any other
//   RUN/1-vae-newest.safetensors   the newest checkpoint of a stage
//   RUN/1-vae-best.safetensors     its best averaged weights
//   RUN/1-vae.done                 when it is over
//   RUN/latents/                   encoded clips
//   RUN/reader/                    the reader of world 2: config.json, model.safetensors
//   RUN/metrics.jsonl, RUN/report.html, RUN/samples/
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "t2v/observer.h"
#include "train/run/config.h"

namespace t2v {

struct TrainingRequest {
  std::string config;  // JSON file
  std::filesystem::path out;
  bool resume = false;
  std::vector<std::string> models;  // begin from this model: its architecture and weights; from the mean of
                                    // several
  std::optional<std::string> data;  // folder of clips
  std::optional<double> minutes;    // of all stages together, in the config's proportions
  std::optional<int64_t> threads;   // workers on the CPU; all processors when absent
  std::string device = "auto";  // auto, cpu, cuda or cuda:N; without N, each process of a machine takes the
                                // card of its number there
};

// Returns the folder of the trained model. Throws Error: usage (config, a run folder that is in use without
// `resume`), bad_input, output, non_finite; interrupted, terminated and hung_up after a checkpoint.
std::filesystem::path run_training(const TrainingRequest& request, Observer& observer);

}  // namespace t2v
