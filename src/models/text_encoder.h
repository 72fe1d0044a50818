// What the pipeline and the trainer need of a family's text encoders.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "models/denoiser.h"

namespace t2v {

// A network from token ids to a vector for each token.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  // ids: int64 [L], or [B, L] for texts of equal length, without padding (a padded, masked token has no
  // influence on the others) → last hidden states [L, dim] or [B, L, dim].
  virtual at::Tensor forward(const at::Tensor& ids) const = 0;
};

// Prompts as the denoiser reads them: tokenizers and encoders together.
class TextConditioner {
 public:
  virtual ~TextConditioner() = default;
  // text: cleaned as the family cleans it (Model::clean). Throws Error{non_finite}.
  virtual TextStates encode(const std::string& text) const = 0;
};

}  // namespace t2v
