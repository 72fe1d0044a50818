// From frames to background, object colours, and how much of every pixel each object covers.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace t2v {

// One frame of one object: how much of each pixel it covers, and how far that is to be believed (0 where
// another object may hide it).
struct CoverageFrame {
  const float* alpha = nullptr;  // [height, width] in [0, 1]
  const float* weight = nullptr;
  int64_t width = 0, height = 0;
  float unit() const { return static_cast<float>(width < height ? width : height); }  // pixels per world unit
};

struct ObjectLayer {
  int colour = 0;
  int64_t frames = 0, width = 0, height = 0;
  std::vector<float> alpha, weight;  // [frames, height, width]
  CoverageFrame frame(int64_t t) const {
    return {alpha.data() + t * width * height, weight.data() + t * width * height, width, height};
  }
};

struct WorldLayers {
  int background = 0;
  std::vector<ObjectLayer> objects;  // at most two, the one with more pixels first
};

// frames float32 [3, T, H, W] in [0, 1].
WorldLayers separate_layers(const at::Tensor& frames);

}  // namespace t2v
