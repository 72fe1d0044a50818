// Sizes and durations that a model can make, nearest to what was asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace t2v {

struct PixelSize {
  int64_t width = 0, height = 0;
  bool operator==(const PixelSize&) const = default;
};

// "832x480" → {832, 480}; `what` names the setting in the message. Throws Error{usage}.
PixelSize parse_size(const std::string& text, const std::string& what);
// "16:9" or "1.78" → width / height; `what` likewise. Throws Error{usage}.
double parse_aspect(const std::string& text, const std::string& what);

// The size at the ratio `aspect` whose area is nearest to `area`, both sides multiples of `multiple`: ratio
// first, then area.
PixelSize size_for_aspect(double aspect, int64_t area, int64_t multiple);

// Down to multiples, as diffusers' Wan pipeline does, but at least one multiple.
PixelSize floor_to_multiple(PixelSize size, int64_t multiple);

int64_t up_to_multiple(int64_t value, int64_t multiple);

// Frames that a causal autoencoder can hold: 1 + ratio·k. Source: diffusers pipeline_wan.py, __call__
// (num_frames // ratio * ratio + 1).
int64_t round_frames(int64_t frames, int64_t temporal_ratio);

}  // namespace t2v
