// What a run trains: a config over the files of its architecture, checked before anything is written.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "base/json.h"
#include "pipeline/components.h"
#include "t2v/request.h"
#include "train/run/config.h"
#include "world/adherence.h"

namespace t2v {

struct RunSetup {
  std::string path;  // of the config, for messages
  TrainingConfig config;
  ModelConfigs configs;                 // of the architecture with the config's changes
  Json transformer, text_encoder, vae;  // its config.json of each network
  Json defaults_json = Json::object();  // its t2v.json
  ModelDefaults defaults;               // the same
  GenerationRequest settings;           // and what of it generation takes

  const Model& model() const { return *configs.model; }
};

// Throws Error: usage for what is wrong in the config, bad_input for the architecture's files.
RunSetup set_up_run(TrainingConfig config, const std::string& path);

// What would otherwise end the run hours later, with this many processes. Throws Error{usage}.
void check_run(const RunSetup& setup, int64_t processes);

// Whether a stage is an autoencoder's, whole or its decoder.
bool trains_vae(const StageConfig& stage);

// Whether a stage's clips are judged at each evaluation, and how, but for the model and the device.
bool judges(const RunSetup& setup, const StageConfig& stage);
AdherenceOptions judging_of(const RunSetup& setup, const StageConfig& stage);

// How long held-out clips are in a stage that is trained on clips of up to `longest` frames: as the model's
// own, where they are that long.
int64_t evaluation_frames(const RunSetup& setup, int64_t longest);

}  // namespace t2v
