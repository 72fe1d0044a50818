// What the sampling loop needs of a diffusion transformer.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "nn/attention.h"
#include "tokens/packed_tokens.h"

namespace t2v {

// The texts that the segments of a packed sequence attend to, with each block's keys and values computed once
// per prompt rather than once per step.
struct TextContext {
  std::vector<KeyValues> blocks;
  std::vector<int64_t> text_of_segment;  // [S]
};

class Denoiser {
 public:
  virtual ~Denoiser() = default;
  virtual PatchSize patch_size() const = 0;
  virtual int64_t in_channels() const = 0;
  // embeddings [texts, L, text_dim], padded as the family pads.
  virtual TextContext prepare_text(const at::Tensor& embeddings,
                                   std::vector<int64_t> text_of_segment) const = 0;
  // [N, C·pt·ph·pw] float32, laid out as tokens.values.
  virtual at::Tensor predict(const PackedTokens& tokens, const TextContext& text) const = 0;
};

}  // namespace t2v
