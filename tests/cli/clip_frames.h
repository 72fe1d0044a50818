// The frames of a clip that the program made.
#pragma once

#include <filesystem>
#include <utility>
#include <vector>

#include "video/read/decoder.h"

namespace t2v::test {

inline std::vector<Frame> frames_of(const std::filesystem::path& path) {
  const auto reader = open_video(path);
  std::vector<Frame> frames;
  while (auto frame = reader->read()) frames.push_back(std::move(*frame));
  return frames;
}

}  // namespace t2v::test
