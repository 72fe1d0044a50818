// What the pipeline needs of a family's encoder of pictures.
#pragma once

#include <ATen/core/Tensor.h>

namespace t2v {

class ImageEncoder {
 public:
  virtual ~ImageEncoder() = default;
  // picture uint8 [3, H, W], on the CPU, of any size → hidden states [tokens, dim].
  virtual at::Tensor forward(const at::Tensor& picture) const = 0;
};

}  // namespace t2v
