// Batches of small, quick clips for the tests of t2v batch.
#pragma once

#include <map>
#include <nlohmann/json.hpp>

#include "expect.h"
#include "video/decoder.h"

namespace t2v::test {

// Nothing of an outer scheduler may reach the program; its environment is clean (run_program.h).
inline Arguments batch(const std::filesystem::path& prompts, const std::filesystem::path& folder, const Arguments& more = {}) {
  Arguments arguments = {"batch", prompts.string(), "--out-dir", folder.string()};
  for (const auto& [flag, value] : {std::pair{"--frames", "1"}, std::pair{"--steps", "2"}})
    if (std::find(more.begin(), more.end(), flag) == more.end()) arguments.insert(arguments.end(), {flag, value});
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

inline std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  for (const auto& line : lines_of(text)) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace t2v::test
