#include "train/scene_helper.h"

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
  const auto with_none = [](const std::vector<std::string>& names) { return static_cast<int64_t>(names.size()) + 1; };
  return {with_none(world_shapes()), with_none(world_colours()), with_none(world_motions()), kTurns + 1, 3};
}

// After which part of a full turn a shape looks as before.
double symmetry_of(int shape) {
  static const std::map<std::string, int> parts{{"triangle", 3}, {"star", 5}, {"square", 4}, {"cross", 4}, {"diamond", 2}};
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

at::Tensor scene_labels(const TrainingClip& clip, at::IntArrayRef latent_shape) {
  const int64_t frames = latent_shape[1], height = latent_shape[2], width = latent_shape[3];
  auto labels = at::zeros({kSceneLabels, frames, height, width}, at::TensorOptions(at::kByte));
  auto at_cell = labels.accessor<uint8_t, 4>();
  const auto full_height = static_cast<double>(clip.frames.size(2)), full_width = static_cast<double>(clip.frames.size(3));
  const double unit = std::min(full_width, full_height);
  const double cell_x = full_width / static_cast<double>(width), cell_y = full_height / static_cast<double>(height);
  auto side = labels[kSceneLabels - 1];
  const int64_t along = width >= height ? 2 : 1, half = labels.size(along + 1) / 2;
  side.narrow(along, 0, half).fill_(1);
  side.narrow(along, side.size(along) - half, half).fill_(2);
  for (std::size_t k = 0; k < clip.objects.size(); ++k) {
    const auto& object = clip.objects[k];
    const auto& track = clip.tracks[k];
    for (int64_t t = 0; t < frames; ++t) {
      const auto frame = static_cast<std::size_t>(std::max<int64_t>(0, 4 * t - 1));  // latent frame t stands for frames 4·t - 3 to 4·t
      const double x = track.x[frame] * unit + full_width / 2, y = track.y[frame] * unit + full_height / 2,
                   r = inside * track.radius[frame] * unit;
      const int turn = turn_of(object, track.angle[frame]);
      for (int64_t i = 0; i < height; ++i)
        for (int64_t j = 0; j < width; ++j) {
          const double dx = (static_cast<double>(j) + 0.5) * cell_x - x, dy = (static_cast<double>(i) + 0.5) * cell_y - y;
          if (dx * dx + dy * dy > r * r) continue;
          const std::array<int, 4> named{object.shape + 1, object.colour + 1, object.motion + 1, turn};
          for (std::size_t n = 0; n < named.size(); ++n) at_cell[static_cast<int64_t>(n)][t][i][j] = static_cast<uint8_t>(named[n]);
        }
    }
  }
  return labels;
}

std::vector<std::pair<std::string, std::vector<int64_t>>> scene_helper_parameters(int64_t width) {
  const auto classes = label_classes();
  const auto sum = std::accumulate(classes.begin(), classes.end(), int64_t{0});
  return {{"weight", {sum, width}}, {"bias", {sum}}};
}

at::Tensor scene_helper_loss(const at::Tensor& tokens, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& labels) {
  const auto logits = at::linear(normalise_layer(tokens.to(at::kFloat), {}, {}, 1e-5), weight, bias);
  const auto parts = logits.split_with_sizes(label_classes(), 1);
  at::Tensor sum;
  for (int64_t k = 0; k < kSceneLabels; ++k) {
    const auto loss = at::cross_entropy_loss(parts[static_cast<std::size_t>(k)], labels.select(1, k), {}, at::Reduction::Sum);
    sum = k == 0 ? loss : sum + loss;
  }
  return sum;
}

}  // namespace t2v
