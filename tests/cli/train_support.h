// Runs of t2v train of a few steps: their configs, and what they leave.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "run_program.h"

namespace t2v::test {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Writes folder / "config.json".
inline fs::path write_json(const TemporaryFolder& folder, const Json& config) {
  const auto path = folder / "config.json";
  std::ofstream(path) << config.dump(1);
  return path;
}

// A run of a denoiser alone; without weights to begin from, over an autoencoder of random ones.
inline Json denoiser_config(int steps, const Json& more = Json::object()) {
  Json denoiser = {{"train", "denoiser"},
                   {"steps", steps},
                   {"warmup_steps", 2},
                   {"lanes", 2},
                   {"tokens_per_lane", 160},
                   {"cached_frames", 9},
                   {"first_shards", 1},
                   {"evaluation_clips", 2},
                   {"log_steps", 1},
                   {"checkpoint_minutes", 0},
                   {"lengths", {{{"frames", 1}, {"share", 1}}, {{"frames", 9}, {"share", 1}}}}};
  denoiser.update(more);
  return {{"architecture", shipped_model().string()}, {"seed", 3}, {"stages", Json::array({denoiser})}};
}

// The same after a stage of an autoencoder.
inline Json both_stages(int denoiser_steps) {
  const Json vae = {
      {"train", "vae"},          {"steps", 2},
      {"warmup_steps", 1},       {"lanes", 2},
      {"pixels_per_lane", 6000}, {"evaluation_clips", 1},
      {"log_steps", 1},          {"clips", {{{"width", 32}, {"height", 32}, {"frames", 5}, {"crop", true}}}}};
  auto config = denoiser_config(denoiser_steps);
  config["stages"].insert(config["stages"].begin(), vae);
  return config;
}

inline fs::path write_config(const TemporaryFolder& folder, int steps, const Json& more = Json::object()) {
  return write_json(folder, denoiser_config(steps, more));
}

inline std::vector<double> losses_of(const fs::path& run, const std::string& stage) {
  std::vector<double> losses;
  std::ifstream file(run / "metrics.jsonl");
  for (std::string text; std::getline(file, text);) {
    const auto line = Json::parse(text);
    if (line["stage"] == stage && line.contains("loss")) losses.push_back(line["loss"].get<double>());
  }
  return losses;
}

inline void wait_for(const fs::path& path) {
  for (int i = 0; i < 6000 && !fs::exists(path); ++i) ::usleep(10'000);
}

inline std::string weights_of_run(const fs::path& run) {
  return bytes_of(run / "model" / "transformer" / "diffusion_pytorch_model.safetensors");
}

// Two clips of things that the shipped model knows no words for.
inline fs::path write_clips(const fs::path& clips) {
  fs::create_directory(clips);
  expect_done(run_program({"generate", "-p", "a red circle", "--frames", "5", "--steps", "1", "--seed", "1",
                           "--count", "2", "-o", (clips / "{index}.mp4").string()}));
  std::ofstream(clips / "0.txt") << "A kestrel hovering over a hedgerow";
  std::ofstream(clips / "1.txt") << "a lapwing standing in a meadow";
  return clips;
}

// A run of two steps on them with a tokenizer of its own.
inline Json tokenizer_config(const TemporaryFolder& folder, const Json& tokenizer) {
  auto config = denoiser_config(2);
  config["data"] = write_clips(folder / "clips").string();
  config["tokenizer"] = tokenizer;
  return config;
}

}  // namespace t2v::test
