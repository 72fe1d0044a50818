#include "train/data/scene_helper.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "nn/ops.h"

namespace t2v {

namespace {

constexpr double inside = 0.8;  // of the radius: within it the shapes show little of the background
constexpr int kTurns = 8;       // that are told apart, of those after which a shape looks the same

// How many classes each label has, 0 among them.
std::vector<int64_t> label_classes() {
  const auto with_none = [](const std::vector<std::string>& names) {
    return static_cast<int64_t>(names.size()) + 1;
  };
  return {with_none(world_shapes()), with_none(world_colours()), with_none(world_motions()), kTurns + 1, 3};
}

std::vector<int64_t> word_classes() {
  const auto count = [](const std::vector<std::string>& names) { return static_cast<int64_t>(names.size()); };
  return {count(world_shapes()), count(world_motions()), count(world_sizes()), 3};
}

// Cross entropies of a linear layer's outputs, a group of `classes` for each label, summed.
at::Tensor named_loss(const at::Tensor& features, const at::Tensor& weight, const at::Tensor& bias,
                      const at::Tensor& labels, const std::vector<int64_t>& classes) {
  const auto parts = at::linear(features, weight, bias).split_with_sizes(classes, 1);
  at::Tensor sum;
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const auto loss = at::cross_entropy_loss(parts[k], labels.select(1, static_cast<int64_t>(k)), {},
                                             at::Reduction::Sum);
    sum = k == 0 ? loss : sum + loss;
  }
  return sum;
}

// After which part of a full turn a shape looks as before.
double symmetry_of(int shape) {
  static const std::map<std::string, int> parts{
      {"triangle", 3}, {"star", 5}, {"square", 4}, {"cross", 4}, {"diamond", 2}};
  const auto found = parts.find(world_shapes()[static_cast<std::size_t>(shape)]);
  return 2 * std::numbers::pi / (found == parts.end() ? 1 : found->second);
}

// 1 + which of the turns; 0 for what does not spin.
int turn_of(const WorldObject& object, double angle) {
  if (world_motions()[static_cast<std::size_t>(object.motion)] != "spinning") return 0;
  const double turns = angle / symmetry_of(object.shape);
  return 1 + std::min(static_cast<int>((turns - std::floor(turns)) * kTurns), kTurns - 1);
}

}  // namespace

at::Tensor scene_labels(const TrainingClip& clip, at::IntArrayRef latent_shape, int64_t temporal_ratio) {
  const int64_t frames = latent_shape[1], height = latent_shape[2], width = latent_shape[3];
  auto labels = at::zeros({kSceneLabels, frames, height, width}, at::TensorOptions(at::kByte));
  auto at_cell = labels.accessor<uint8_t, 4>();
  const auto full_height = static_cast<double>(clip.frames.size(2)),
             full_width = static_cast<double>(clip.frames.size(3));
  const double unit = std::min(full_width, full_height);
  const double cell_x = full_width / static_cast<double>(width),
               cell_y = full_height / static_cast<double>(height);
  auto side = labels[kSceneLabels - 1];
  const int64_t along = width >= height ? 2 : 1, half = labels.size(along + 1) / 2;
  side.narrow(along, 0, half).fill_(1);
  side.narrow(along, side.size(along) - half, half).fill_(2);
  for (std::size_t k = 0; k < clip.objects.size(); ++k) {
    const auto& object = clip.objects[k];
    const auto& track = clip.tracks[k];
    for (int64_t t = 0; t < frames; ++t) {
      // Latent frame t stands for frames ratio·(t - 1) + 1 to ratio·t, and the middle one is labelled.
      const auto frame = static_cast<std::size_t>(
          std::max<int64_t>(0, temporal_ratio * t - (temporal_ratio - 1) / 2));
      const double x = track.x[frame] * unit + full_width / 2, y = track.y[frame] * unit + full_height / 2,
                   r = inside * track.radius[frame] * unit;
      const int turn = turn_of(object, track.angle[frame]);
      for (int64_t i = 0; i < height; ++i)
        for (int64_t j = 0; j < width; ++j) {
          const double dx = (static_cast<double>(j) + 0.5) * cell_x - x,
                       dy = (static_cast<double>(i) + 0.5) * cell_y - y;
          const bool holds_centre = dx >= -cell_x / 2 && dx < cell_x / 2 && dy >= -cell_y / 2 &&
                                    dy < cell_y / 2;
          if (!holds_centre && dx * dx + dy * dy > r * r) continue;
          const std::array<int, 4> named{object.shape + 1, object.colour + 1, object.motion + 1, turn};
          for (std::size_t n = 0; n < named.size(); ++n)
            at_cell[static_cast<int64_t>(n)][t][i][j] = static_cast<uint8_t>(named[n]);
        }
    }
  }
  return labels;
}

at::Tensor word_labels(const std::vector<WorldObject>& objects, const std::vector<int64_t>& tokens,
                       const Tokenizer& tokenizer) {
  auto labels = at::zeros({static_cast<int64_t>(tokens.size()), kWordLabels}, at::TensorOptions(at::kByte));
  auto at_token = labels.accessor<uint8_t, 2>();
  for (std::size_t k = 0; k < objects.size(); ++k) {
    const auto& object = objects[k];
    auto colour = tokenizer.encode(world_colours()[static_cast<std::size_t>(object.colour)], tokens.size())
                      .ids;
    colour.pop_back();  // </s>
    const auto found = std::search(tokens.begin(), tokens.end(), colour.begin(), colour.end());
    if (found == tokens.end()) continue;  // cut off
    const auto place = found - tokens.begin() + static_cast<int64_t>(colour.size()) - 1;
    const std::array<int, 4> named{object.shape + 1, object.motion + 1, object.size + 1,
                                   objects.size() == 1 ? 1 : static_cast<int>(k) + 2};
    for (std::size_t n = 0; n < named.size(); ++n)
      at_token[place][static_cast<int64_t>(n)] = static_cast<uint8_t>(named[n]);
  }
  return labels;
}

TensorShapes scene_helper_parameters(int64_t width, int64_t text_width) {
  const auto sum = [](const std::vector<int64_t>& classes) {
    return std::accumulate(classes.begin(), classes.end(), int64_t{0});
  };
  const auto of_token = sum(label_classes()), of_word = sum(word_classes());
  return {{"weight", {of_token, width}},
          {"bias", {of_token}},
          {"word_weight", {of_word, text_width}},
          {"word_bias", {of_word}}};
}

at::Tensor scene_helper_loss(const at::Tensor& tokens, const at::Tensor& weight, const at::Tensor& bias,
                             const at::Tensor& labels) {
  return named_loss(normalise_layer(tokens.to(at::kFloat), {}, {}, 1e-5), weight, bias, labels,
                    label_classes());
}

at::Tensor word_helper_loss(const at::Tensor& words, const at::Tensor& weight, const at::Tensor& bias,
                            const at::Tensor& labels) {
  return named_loss(words.to(at::kFloat), weight, bias, labels - 1, word_classes());
}

}  // namespace t2v
