// A storyboard: what a clip shows over time, and pictures and clips that it shows at certain times.
//
//   {"shots": [{"from": 0, "to": 2.5, "prompt": "a cat walking on a beach"},
//              {"from": 2.5, "to": 5, "prompt": "a rocket rising in outer space", "cut": true}],
//    "pins": [{"at": 0, "image": "cat.png"}, {"at": 4, "clip": "rocket.mp4"}]}
//
// Times are seconds, names of files relative to the storyboard's folder. A shot begins with a cut, or goes on
// from the frames before it ("blend", the default).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "t2v/request.h"

namespace t2v {

struct Pin {
  int64_t at = 0;      // frame of the clip
  std::string source;  // picture or video
  bool is_clip = false;
  std::string place;  // of its file, for messages
};

struct Storyboard {
  std::vector<Shot> shots;  // one after the other, from the clip's first frame on
  std::vector<Pin> pins;    // in the order of time
};

// prompt: of shots that have none. Throws Error{usage} naming line and key for gaps, overlaps, unknown keys
// and bad values.
Storyboard read_storyboard(const std::filesystem::path& path, double fps,
                           const std::optional<std::string>& prompt);

}  // namespace t2v
