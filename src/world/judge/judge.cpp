#include "world/judge/judge.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "t2v/error.h"
#include "world/judge/judge_layers.h"
#include "world/judge/judge_motion.h"
#include "world/judge/judge_shape.h"
#include "world/world.h"

namespace t2v {

namespace {

// [3, T, H, W] in [0, 1], the short side at most 64 pixels: more detail is not needed and costs time.
at::Tensor prepare(const at::Tensor& frames) {
  const bool bytes = frames.scalar_type() == at::kByte;
  if (frames.dim() != 4 || frames.size(0) != 3 || frames.numel() == 0 ||
      (!bytes && !frames.is_floating_point()))
    throw Error(ErrorKind::usage, "judge_world: expected RGB frames [3, T, H, W], uint8 or in [-1, 1]");
  auto video = frames.to(at::kCPU).to(at::kFloat);
  video = bytes ? video / 255 : (video.clamp(-1, 1) + 1) / 2;
  const auto factor = std::min(frames.size(2), frames.size(3)) / 64;
  if (factor < 2) return video;
  return at::avg_pool2d(video.transpose(0, 1), {factor, factor}).transpose(0, 1);
}

int nearest_size(float radius) {
  int best = 0;
  for (int size = 1; size < static_cast<int>(world_sizes().size()); ++size)
    if (std::abs(std::log(radius / world_radius(size))) < std::abs(std::log(radius / world_radius(best))))
      best = size;
  return best;
}

JudgedObject judge_object(const ObjectLayer& layer) {
  const auto shape = fit_shape(layer);
  const float unit = layer.frame(0).unit();
  const auto motion = fit_motion(shape.frames, static_cast<float>(layer.width) / unit / 2,
                                 static_cast<float>(layer.height) / unit / 2);
  JudgedObject object{layer.colour, shape.shape, motion.motion, nearest_size(motion.radius), 0, shape.misfit};
  if (shape.spinning) object.motion = world_index(world_motions(), "spinning");
  if (layer.frames < kJudgedFrames) object.motion = -1;
  for (const float alpha : layer.alpha) object.visible_area += alpha > 0.15F ? alpha : 0;
  object.visible_area /= unit * unit * static_cast<double>(layer.frames);
  return object;
}

}  // namespace

JudgedScene judge_world(const at::Tensor& frames) {
  const auto layers = separate_layers(prepare(frames));
  JudgedScene scene{layers.background, {}};
  for (const auto& layer : layers.objects) scene.objects.push_back(judge_object(layer));
  std::stable_sort(
      scene.objects.begin(), scene.objects.end(),
      [](const JudgedObject& a, const JudgedObject& b) { return a.visible_area > b.visible_area; });
  return scene;
}

}  // namespace t2v
