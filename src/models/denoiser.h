// What the sampling loop needs of a diffusion transformer.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "tokens/packed_tokens.h"

namespace t2v {

// One text as a family's encoders give it.
struct TextStates {
  std::vector<at::Tensor> states;  // of each encoder: the last hidden states [tokens, dim], unpadded
  int64_t length = 0;              // in tokens, with the padding that the denoiser is to see
};

// What a denoiser made of a pack's texts and positions, once for all of its steps. Only the denoiser that
// made it reads it.
struct Conditioning {
  virtual ~Conditioning() = default;
};

class Denoiser {
 public:
  virtual ~Denoiser() = default;
  virtual PatchSize patch_size() const = 0;
  virtual int64_t in_channels() const = 0;
  // texts: those that tokens.texts names. Reads what stays the same of the tokens, not their values.
  virtual std::shared_ptr<const Conditioning> prepare(const PackedTokens& tokens,
                                                      const std::vector<TextStates>& texts) const = 0;
  // [N, C·pt·ph·pw] float32, laid out as tokens.values. conditioning: of tokens with the same layout. middle,
  // if given, becomes the hidden states [N, width] halfway through the network, for helper losses.
  virtual at::Tensor predict(const PackedTokens& tokens, const Conditioning& conditioning,
                             at::Tensor* middle = nullptr) const = 0;
};

}  // namespace t2v
