// A training config: what is trained on what, in which stages. JSON; every key is checked.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "train/loop/trainer.h"
#include "train/tasks/denoiser_task.h"
#include "train/tasks/reader_task.h"
#include "train/tasks/vae_task.h"
#include "world/book/book.h"
#include "world/world.h"

namespace t2v {

enum class StageKind { vae, vae_decoder, denoiser, reader };

struct StageConfig {
  StageKind kind = StageKind::denoiser;
  ScheduleConfig schedule;
  OptimizerConfig optimizer;
  double checkpoint_minutes = 5, evaluate_minutes = 10, spike_factor = 10;
  int64_t log_steps = 20;
  int64_t adherence_prompts = 0;  // judged at each evaluation of a denoiser that is trained on the world
  VaeTaskConfig vae;              // of the kind that `kind` says
  DenoiserTaskConfig denoiser;
  ReaderTaskConfig reader;
  int64_t cached_frames = 17;
  bool gradient_checkpointing = false;  // of a denoiser's blocks
  RunDtypes precision;  // that the networks compute in; weights and optimizer state are float32
  Json text;  // the stage as written, schedule, evaluation and what changes no number left out: what a
              // checkpoint belongs to
};

// A tokenizer that is trained on the captions.
struct TokenizerConfig {
  std::optional<int64_t> vocab_size;  // special tokens included; without it as many as the captions give, at
                                      // most 8192
};

struct TrainingConfig {
  std::string architecture;  // model folder whose configs and tokenizer are used
  // What is otherwise in the config.json of the architecture's component.
  Json transformer = Json::object(), text_encoder = Json::object(), vae = Json::object();
  std::vector<std::string> weights;  // model folders to begin from the mean of; from nothing without them
  std::map<std::string, std::string> component_weights;  // or by component; those without one from nothing
  uint64_t seed = 1;
  std::optional<std::string> data;            // folder of clips; the procedural world without it
  int64_t world_number = 1;                   // world 1, or 2, the picture book
  WorldShares world;                          // of world 1
  BookShares book = {.cuts = 0};              // of world 2
  std::optional<TokenizerConfig> tokenizer;   // the architecture's without it
  std::vector<std::array<int64_t, 2>> sizes;  // {width, height}; those of the architecture's t2v.json when
                                              // absent
  Json defaults = Json::object();             // what the run's model has otherwise in its t2v.json
  at::ScalarType weights_dtype = at::kFloat;  // of the run's model as it is stored: float32 or float16
  std::vector<StageConfig> stages;
};

// Throws Error{usage} naming the key, for unknown keys with the nearest known one.
TrainingConfig parse_training_config(const Json& json, const std::string& where);

}  // namespace t2v
