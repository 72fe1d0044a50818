// Between tensors and frames, and between a plan and the encoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "t2v/request.h"
#include "video/write/encoder.h"

namespace t2v {

// Throws Error{non_finite} when a value of decoded frames is NaN or infinite.
void require_finite(const at::Tensor& frames);

// frames float32 [3, T, H, W] in [-1, 1] → T frames of 8-bit RGB: (x / 2 + 1/2) · 255, rounded. Source:
// diffusers image_processor.py, denormalize, numpy_to_pil. Throws as require_finite.
std::vector<Frame> to_frames(const at::Tensor& frames);

// The same of 16 bits: (x / 2 + 1/2) · 65535, rounded.
std::vector<Frame> to_deep_frames(const at::Tensor& frames);

// 8-bit RGB → float32 [3, T, H, W] in [-1, 1].
at::Tensor from_frames(const std::vector<Frame>& frames);

// uint8 [3, H, W], which the first reads where the frame has it.
at::Tensor bytes_of(const Frame& frame);
Frame frame_of(const at::Tensor& bytes);

// Frames per second as a fraction: whole numbers and NTSC's n·1000/1001 exactly, others to a thousandth.
Rational to_rational(double fps);

std::optional<Resize> planned_resize(const std::optional<std::string>& size, const std::string& filter);

// "4M", "800k" or "900000" as bits per second. Throws Error{usage}.
std::optional<int64_t> parse_bitrate(const std::optional<std::string>& text);

// A planned clip's file, without metadata.
EncoderOptions encoder_options_of(const GenerationPlan& plan, const PlannedClip& clip);

// Resolves crf, quality and bitrate by what the clips' files take, with a note on what they do not. Throws as
// plan_compression.
void plan_file_compression(GenerationPlan& plan);

}  // namespace t2v
