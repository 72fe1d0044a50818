// A helper loss: a linear layer on the tokens of a middle block names what is at every token: shape, colour,
// motion, how far it has turned, and on which side of the frame the token lies. It leads what the caption
// says to the tokens early in training, is faded out before the end, and is no part of the model. A second
// such layer on the text encoder's output does the same for captions: at the word for an object's colour it
// names the object's shape, motion, size and place in the order. After representation alignment (Yu et al.
// 2024, "Representation Alignment for Generation"), with labels in place of an encoder's features.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "text/tokenizer.h"
#include "train/data/clip_source.h"
#include "train/loop/parameters.h"

namespace t2v {

constexpr int64_t kSceneLabels = 5;

// What is where: uint8 [kSceneLabels, T, h, w] for latents of `latent_shape` [z, T, h, w], each frame of
// which after the first stands for `temporal_ratio` of the clip's. Of the object around which the middle of a
// latent pixel lies, within 0.8 of its radius, or whose centre lies in the pixel: 1 + shape, 1 + colour, 1 +
// motion and, of what spins, 1 + which eighth of the turn after which its shape looks the same; 0 for none.
// Last, 1 in the first half of the frame's longer side and 2 in the second (where the world places the first
// and the second object); 0 in the middle. The clip's source has to know its objects.
at::Tensor scene_labels(const TrainingClip& clip, at::IntArrayRef latent_shape, int64_t temporal_ratio);

constexpr int64_t kWordLabels = 4;

// What a caption says of each object, at the last token of its colour, which no other object has: uint8 [L,
// kWordLabels]: 1 + shape, 1 + motion, 1 + size, and 1 for the only object, 2 for the first of two, 3 for the
// second; 0 at all other tokens.
at::Tensor word_labels(const std::vector<WorldObject>& objects, const std::vector<int64_t>& tokens,
                       const Tokenizer& tokenizer);

// The helper's parameters, {name, shape}, for tokens and texts of these widths: weight and bias of the layer
// on tokens, and of the one on words.
TensorShapes scene_helper_parameters(int64_t width, int64_t text_width);

// Cross entropies summed over tokens and labels: tokens [N, D], labels int64 [N, kSceneLabels].
at::Tensor scene_helper_loss(const at::Tensor& tokens, const at::Tensor& weight, const at::Tensor& bias,
                             const at::Tensor& labels);

// The same for words of captions: text encoder's outputs [N, d_model], labels int64 [N, kWordLabels], none of
// them 0.
at::Tensor word_helper_loss(const at::Tensor& words, const at::Tensor& weight, const at::Tensor& bias,
                            const at::Tensor& labels);

}  // namespace t2v
