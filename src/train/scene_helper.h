// A helper loss: a linear layer on the tokens of a middle block names what is at every token: shape, colour, motion, how far it has turned,
// and on which side of the frame the token lies. It leads what the caption says to the tokens early in training, is faded out before the
// end, and is no part of the model. After representation alignment (Yu et al.
// 2024, "Representation Alignment for Generation"), with labels in place of an encoder's features.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "train/clip_source.h"

namespace t2v {

constexpr int64_t kSceneLabels = 5;

// What is where: uint8 [kSceneLabels, T, h, w] for latents of `latent_shape` [z, T, h, w]. Of the object around which the middle of a
// latent pixel lies, within 0.8 of its radius: 1 + shape, 1 + colour, 1 + motion and, of what spins, 1 + which eighth of the turn after
// which its shape looks the same; 0 for none. Last, 1 in the first half of the frame's longer side and 2 in the second (where the world
// places the first and the second object); 0 in the middle. The clip's source has to know its objects.
at::Tensor scene_labels(const TrainingClip& clip, at::IntArrayRef latent_shape);

// The helper's parameters, {name, shape}, for tokens of a width.
std::vector<std::pair<std::string, std::vector<int64_t>>> scene_helper_parameters(int64_t width);

// Cross entropies summed over tokens and labels: tokens [N, D], labels int64 [N, kSceneLabels].
at::Tensor scene_helper_loss(const at::Tensor& tokens, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& labels);

}  // namespace t2v
