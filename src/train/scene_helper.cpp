#include "train/scene_helper.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "nn/ops.h"

namespace t2v {

namespace {

constexpr double inside = 0.8;  // of the radius: within it the shapes show little of the background

int64_t shape_classes() { return static_cast<int64_t>(world_shapes().size()) + 1; }
int64_t colour_classes() { return static_cast<int64_t>(world_colours().size()) + 1; }

}  // namespace

at::Tensor scene_labels(const TrainingClip& clip, at::IntArrayRef latent_shape) {
  const int64_t frames = latent_shape[1], height = latent_shape[2], width = latent_shape[3];
  auto labels = at::zeros({2, frames, height, width}, at::TensorOptions(at::kByte));
  auto at_cell = labels.accessor<uint8_t, 4>();
  const auto full_height = static_cast<double>(clip.frames.size(2)), full_width = static_cast<double>(clip.frames.size(3));
  const double unit = std::min(full_width, full_height);
  const double cell_x = full_width / static_cast<double>(width), cell_y = full_height / static_cast<double>(height);
  for (std::size_t k = 0; k < clip.objects.size(); ++k) {
    const auto& track = clip.tracks[k];
    for (int64_t t = 0; t < frames; ++t) {
      const auto frame = static_cast<std::size_t>(std::max<int64_t>(0, 4 * t - 1));  // latent frame t stands for frames 4·t - 3 to 4·t
      const double x = track.x[frame] * unit + full_width / 2, y = track.y[frame] * unit + full_height / 2,
                   r = inside * track.radius[frame] * unit;
      for (int64_t i = 0; i < height; ++i)
        for (int64_t j = 0; j < width; ++j) {
          const double dx = (static_cast<double>(j) + 0.5) * cell_x - x, dy = (static_cast<double>(i) + 0.5) * cell_y - y;
          if (dx * dx + dy * dy > r * r) continue;
          at_cell[0][t][i][j] = static_cast<uint8_t>(clip.objects[k].shape + 1);
          at_cell[1][t][i][j] = static_cast<uint8_t>(clip.objects[k].colour + 1);
        }
    }
  }
  return labels;
}

std::vector<std::pair<std::string, std::vector<int64_t>>> scene_helper_parameters(int64_t width) {
  const int64_t classes = shape_classes() + colour_classes();
  return {{"weight", {classes, width}}, {"bias", {classes}}};
}

at::Tensor scene_helper_loss(const at::Tensor& tokens, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& labels) {
  const auto logits = at::linear(normalise_layer(tokens.to(at::kFloat), {}, {}, 1e-5), weight, bias);
  const auto parts = logits.split_with_sizes({shape_classes(), colour_classes()}, 1);
  at::Tensor sum;
  for (int64_t k = 0; k < 2; ++k) {
    const auto loss = at::cross_entropy_loss(parts[static_cast<std::size_t>(k)], labels.select(1, k), {}, at::Reduction::Sum);
    sum = k == 0 ? loss : sum + loss;
  }
  return sum;
}

}  // namespace t2v
