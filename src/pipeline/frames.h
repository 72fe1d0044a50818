// Between tensors and frames, and between a plan and the encoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "t2v/request.h"
#include "video/encoder.h"

namespace t2v {

// Throws Error{non_finite} when a value of decoded frames is NaN or infinite.
void require_finite(const at::Tensor& frames);

// frames float32 [3, T, H, W] in [-1, 1] → T frames of 8-bit RGB: (x / 2 + 1/2) · 255, rounded. Source:
// diffusers image_processor.py, denormalize, numpy_to_pil. Throws as require_finite.
std::vector<Frame> to_frames(const at::Tensor& frames);

// 8-bit RGB → float32 [3, T, H, W] in [-1, 1].
at::Tensor from_frames(const std::vector<Frame>& frames);

// Frames per second as a fraction: whole numbers and NTSC's n·1000/1001 exactly, others to a thousandth.
Rational to_rational(double fps);

std::optional<Resize> planned_resize(const std::optional<std::string>& size, const std::string& filter);

}  // namespace t2v
