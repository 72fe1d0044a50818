// Frames with known contents, and the errors and files that they lead to.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "bytes.h"
#include "errors.h"
#include "paths.h"
#include "t2v/error.h"
#include "video/read/decoder.h"
#include "video/write/encoder.h"

namespace t2v::test {

using Colour = std::array<uint8_t, 3>;

inline const std::array<Colour, 8> patch_colours{{{255, 0, 0},
                                                  {0, 255, 0},
                                                  {0, 0, 255},
                                                  {255, 255, 255},
                                                  {0, 0, 0},
                                                  {0, 0, 128},
                                                  {255, 165, 0},
                                                  {205, 133, 63}}};

// Eight flat patches, four by two; `shift` rotates the colours.
inline Frame patches(int width = 128, int height = 64, int shift = 0) {
  Frame frame{width, height, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const auto& colour = patch_colours[(y * 2 / height * 4 + x * 4 / width + shift) % 8];
      frame.rgb.insert(frame.rgb.end(), colour.begin(), colour.end());
    }
  return frame;
}

// Pixels that differ everywhere, to see every misplaced byte.
inline Frame noise(int width, int height, unsigned seed = 1) {
  Frame frame{width, height, std::vector<uint8_t>(static_cast<std::size_t>(width) * height * 3)};
  for (auto& value : frame.rgb) value = static_cast<uint8_t>((seed = seed * 1664525u + 1013904223u) >> 24);
  return frame;
}

inline EncoderOptions options_for(const std::filesystem::path& path, const Frame& frame,
                                  Rational fps = {24, 1}) {
  EncoderOptions options;
  options.path = path.string();
  options.width = frame.width;
  options.height = frame.height;
  options.fps = fps;
  return options;
}

inline std::vector<Frame> shifting_patches(int count) {
  std::vector<Frame> frames;
  for (int i = 0; i < count; ++i) frames.push_back(patches(128, 64, i / 4));
  return frames;
}

inline void write_all(const EncoderOptions& options, const std::vector<Frame>& frames) {
  const auto sink = open_encoder(options);
  for (const auto& frame : frames) sink->write(frame);
  sink->finish();
}

inline std::vector<Frame> read_all(const std::filesystem::path& path) {
  const auto reader = open_video(path);
  std::vector<Frame> frames;
  while (auto frame = reader->read()) frames.push_back(std::move(*frame));
  return frames;
}

// The largest difference of a channel. Pixels nearer than `margin` to the edge of one of the patches (4 x 2)
// do not count.
inline int largest_difference(const Frame& a, const Frame& b, int margin = 0) {
  if (a.width != b.width || a.height != b.height) return 256;
  const int patch_width = a.width / 4, patch_height = a.height / 2;
  int largest = 0;
  for (int y = 0; y < a.height; ++y)
    for (int x = 0; x < a.width; ++x) {
      const int to_edge = std::min({x % patch_width, patch_width - 1 - x % patch_width, y % patch_height,
                                    patch_height - 1 - y % patch_height});
      if (to_edge < margin) continue;
      for (int c = 0; c < 3; ++c) {
        const auto at = (static_cast<std::size_t>(y) * a.width + x) * 3 + c;
        largest = std::max(largest, std::abs(a.rgb[at] - b.rgb[at]));
      }
    }
  return largest;
}

inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace t2v::test
