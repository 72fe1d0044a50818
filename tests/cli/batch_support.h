// Batches of small, quick clips for the tests of t2v batch.
#pragma once

#include <map>
#include <nlohmann/json.hpp>

#include "expect.h"
#include "model_copy.h"
#include "video/read/decoder.h"

namespace t2v::test {

// Nothing of an outer scheduler may reach the program; its environment is clean (run_program.h).
inline Arguments batch(const std::filesystem::path& prompts, const std::filesystem::path& folder,
                       const Arguments& more = {}) {
  Arguments arguments = {"batch", prompts.string(), "--out-dir", folder.string()};
  for (const auto& [flag, value] : {std::pair{"--frames", "1"}, std::pair{"--steps", "2"}})
    if (std::find(more.begin(), more.end(), flag) == more.end())
      arguments.insert(arguments.end(), {flag, value});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// `count` prompts, a line each.
inline std::string numbered_prompts(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "a red circle moving " + std::to_string(i) + "\n";
  return text;
}

// The clips in a folder: name → bytes. Every one must be whole.
inline std::map<std::string, std::string> clips_in(const std::filesystem::path& folder) {
  std::map<std::string, std::string> clips;
  for (const auto& name : names_in(folder)) {
    if (!name.ends_with(".mp4") || name.starts_with('.')) continue;
    const auto video = open_video(folder / name);
    EXPECT_TRUE(video->read()) << name;
    clips[name] = bytes_of(folder / name);
  }
  return clips;
}

inline nlohmann::json status_of(const std::filesystem::path& folder) {
  const auto result = run_program({"batch", "--status", folder.string(), "--json"});
  expect_done(result);
  return nlohmann::json::parse(result.out);
}

// A line of a prompts file whose clip of one frame fails with exit 6; it needs a file, which is put into the
// folder.
inline nlohmann::json failing_item(const std::filesystem::path& folder) {
  // The largest numbers that there are make infinities in the first step.
  const std::vector<float> huge(std::size_t{16} * 1 * 8 * 8, 3e38F);
  const auto shape = nlohmann::json::parse(
                         run_program({"generate", "-p", "a", "--frames", "1", "--dry-run"}).out)
                         .at("latent_shape");
  std::size_t count = 1;
  for (const auto& side : shape) count *= side.get<std::size_t>();
  EXPECT_LE(count, huge.size());
  RawTensors tensors;
  tensors.data.assign(reinterpret_cast<const char*>(huge.data()), count * sizeof(float));
  tensors.header["latents"] = {
      {"dtype", "F32"}, {"shape", shape}, {"data_offsets", {0, tensors.data.size()}}};
  write_raw_tensors(folder / "huge.safetensors", tensors);
  return {{"id", "bad"}, {"prompt", "b"}, {"init_latents", (folder / "huge.safetensors").string()}};
}

inline std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  for (const auto& line : lines_of(text)) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace t2v::test
