// How quick a model of random weights is here (t2v bench).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/components.h"
#include "t2v/observer.h"

namespace t2v {

struct BenchmarkOptions {
  int64_t width = 0, height = 0, frames = 0;
  int64_t steps = 4;
  int64_t text_tokens = 64;  // of the prompt
  double guidance_scale = 5;
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;  // the autoencoder has --vae-dtype's auto
};

// One part of a run.
struct BenchmarkPart {
  std::string name;                    // "text", "step", "decode"
  int64_t numbers = 0;                 // of its weights
  double seconds = 0;                  // of a prompt and the empty one; the median of a step; of the clip
  double flops = 0;                    // of products, convolutions and attention
  std::vector<std::string> attention;  // as FlopCounter has them
  std::optional<double> share;         // of the rate of a matrix product, where the part is in that dtype
  std::optional<int64_t> peak_bytes;   // on a card, weights included
  std::string left_out;                // why, when it was
};

struct Benchmark {
  double product_rate = 0;  // FLOP/s of a large matrix product in the dtype
  int64_t tokens = 0;       // of all branches of a step
  std::vector<BenchmarkPart> parts;
  std::optional<int64_t> peak_bytes;  // of the process, on the CPU
};

// Weights are made on the device, one network after the other. A part whose weights do not fit is left out,
// and so are those that were to follow it. Throws Error{usage} for sizes and lengths that the model does not
// make, and for models that read pictures.
Benchmark run_benchmark(const ModelConfigs& configs, const BenchmarkOptions& options, Observer& observer);

}  // namespace t2v
