// Pictures in other sizes, to the last bit as Pillow makes them: what image encoders were trained on.
#pragma once

#include <ATen/core/Tensor.h>

namespace t2v {

enum class ResamplingFilter { bicubic, lanczos };

// uint8 [C, H, W] → uint8 [C, height, width], on the CPU. In width, then in height, each rounded to 8 bits;
// the other way round where the picture loses more than twice as many rows as columns. A smaller picture
// takes in every pixel of the larger one. Source: Pillow 13.0, Resample.c (before 13.0 the width came always
// first).
at::Tensor resample_picture(const at::Tensor& picture, int64_t width, int64_t height,
                            ResamplingFilter filter);

}  // namespace t2v
