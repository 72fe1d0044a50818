// A helper loss: a linear layer on the tokens of a middle block names the shape and the colour at every token. It leads what the caption
// says to the tokens early in training, is faded out before the end, and is no part of the model. After representation alignment (Yu et al.
// 2024, "Representation Alignment for Generation"), with labels in place of an encoder's features.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "train/clip_source.h"

namespace t2v {

// What is where: uint8 [2, T, h, w] for latents of `latent_shape` [z, T, h, w]: 1 + shape and 1 + colour of the object around which
// the middle of a latent pixel lies, within 0.8 of its radius, 0 for none. The clip's source has to know its objects.
at::Tensor scene_labels(const TrainingClip& clip, at::IntArrayRef latent_shape);

// The helper's parameters, {name, shape}, for tokens of a width.
std::vector<std::pair<std::string, std::vector<int64_t>>> scene_helper_parameters(int64_t width);

// Cross entropies summed over tokens and both labels: tokens [N, D], labels int64 [N, 2].
at::Tensor scene_helper_loss(const at::Tensor& tokens, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& labels);

}  // namespace t2v
