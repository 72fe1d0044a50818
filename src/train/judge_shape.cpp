#include "train/judge_shape.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <numeric>

#include "train/world.h"

namespace t2v {

namespace {

constexpr float kPi = std::numbers::pi_v<float>;
constexpr std::size_t kReferenceFrames = 8;
constexpr double kSpinHandicap = 1.15;                    // a turning template has more freedom
constexpr std::array<float, 3> kSoftness{1, 2.5F, 4.5F};  // widths in pixels of the edge between 0 and 1

// A shape of radius 1 at angle 0: its area and the centre of its area.
struct Moments {
  float area = 0, x = 0, y = 0;
};

Moments measure(int shape) {
  constexpr int n = 200;
  Moments m;
  for (int row = 0; row < n; ++row)
    for (int column = 0; column < n; ++column) {
      const float x = (static_cast<float>(column) + 0.5F) * 2.4F / n - 1.2F, y = (static_cast<float>(row) + 0.5F) * 2.4F / n - 1.2F;
      if (world_shape_distance(shape, x, y) < 0) ++m.area, m.x += x, m.y += y;
    }
  m.x /= m.area, m.y /= m.area;
  m.area *= (2.4F / n) * (2.4F / n);
  return m;
}

const std::vector<Moments>& shape_moments() {
  static const std::vector<Moments> all = [] {
    std::vector<Moments> list;
    for (int shape = 0; shape < static_cast<int>(world_shapes().size()); ++shape) list.push_back(measure(shape));
    return list;
  }();
  return all;
}

// Area and centre of what is seen of an object in one frame, and whether the frame's border may cut it.
struct Seen {
  float area = 0, x = 0, y = 0;  // world units
  double energy = 0;             // Σ weight · alpha²
  bool cut = false;
};

Seen look(const CoverageFrame& frame) {
  Seen seen;
  const float half_width = static_cast<float>(frame.width) / 2, half_height = static_cast<float>(frame.height) / 2;
  double sum = 0, sum_x = 0, sum_y = 0;
  for (int64_t row = 0; row < frame.height; ++row)
    for (int64_t column = 0; column < frame.width; ++column) {
      const float raw = frame.alpha[row * frame.width + column];
      const double alpha = raw < 0.15F ? 0 : raw;  // the background's noise is spread wide and would move the centre
      sum += alpha;
      sum_x += alpha * (static_cast<double>(column) + 0.5 - half_width);
      sum_y += alpha * (static_cast<double>(row) + 0.5 - half_height);
      seen.energy += frame.weight[row * frame.width + column] * raw * raw;
      const bool border = row == 0 || column == 0 || row == frame.height - 1 || column == frame.width - 1;
      seen.cut |= border && alpha > 0.4;
    }
  seen.area = static_cast<float>(sum) / (frame.unit() * frame.unit());
  if (sum > 0) seen.x = static_cast<float>(sum_x / sum) / frame.unit(), seen.y = static_cast<float>(sum_y / sum) / frame.unit();
  return seen;
}

struct Window {
  int64_t left, right, top, bottom;
};

Window window_of(const CoverageFrame& frame, const Pose& pose, float softness) {
  const float reach = pose.radius * 1.15F * frame.unit() + softness * 1.5F;
  const auto clamp = [](float value, int64_t size) { return std::clamp<int64_t>(static_cast<int64_t>(std::floor(value)), 0, size); };
  const float x = pose.x * frame.unit() + static_cast<float>(frame.width) / 2,
              y = pose.y * frame.unit() + static_cast<float>(frame.height) / 2;
  return {clamp(x - reach, frame.width), clamp(x + reach + 1, frame.width), clamp(y - reach, frame.height),
          clamp(y + reach + 1, frame.height)};
}

// Σ weight (alpha - template)² - Σ weight alpha²: only pixels that the template covers differ.
double difference(const CoverageFrame& frame, int shape, const Pose& pose, float softness) {
  const auto window = window_of(frame, pose, softness);
  const float unit = frame.unit(), cosine = std::cos(pose.angle) / pose.radius, sine = std::sin(pose.angle) / pose.radius;
  const float sharpness = pose.radius * unit / softness;
  const float origin_x = static_cast<float>(frame.width) / unit / 2 + pose.x,
              origin_y = static_cast<float>(frame.height) / unit / 2 + pose.y;
  double sum = 0;
  for (int64_t row = window.top; row < window.bottom; ++row) {
    const float dy = (static_cast<float>(row) + 0.5F) / unit - origin_y;
    for (int64_t column = window.left; column < window.right; ++column) {
      const float dx = (static_cast<float>(column) + 0.5F) / unit - origin_x;
      const float distance = world_shape_distance(shape, dx * cosine + dy * sine, dy * cosine - dx * sine) * sharpness;
      if (distance >= 0.5F) continue;
      const float covered = std::min(0.5F - distance, 1.0F);
      const auto at = row * frame.width + column;
      sum += frame.weight[at] * covered * (covered - 2 * frame.alpha[at]);
    }
  }
  return sum;
}

// The share of a shape at `pose` that lies within the frame.
float visible_share(const CoverageFrame& frame, int shape, const Pose& pose) {
  constexpr int n = 24;
  const float half_width = static_cast<float>(frame.width) / frame.unit() / 2,
              half_height = static_cast<float>(frame.height) / frame.unit() / 2;
  int inside = 0, all = 0;
  for (int row = 0; row < n; ++row)
    for (int column = 0; column < n; ++column) {
      const float x = (static_cast<float>(column) + 0.5F) * 2.4F / n - 1.2F, y = (static_cast<float>(row) + 0.5F) * 2.4F / n - 1.2F;
      if (world_shape_distance(shape, x, y) >= 0) continue;
      ++all;
      inside += std::abs(pose.x + x * pose.radius) < half_width && std::abs(pose.y + y * pose.radius) < half_height;
    }
  return static_cast<float>(inside) / static_cast<float>(all);
}

// Pattern search: each number in turn by ± its step; the steps are halved when nothing helps.
template <std::size_t n>
double descend(std::array<float, n>& at, std::array<float, n> step, int halvings,
               const std::function<double(const std::array<float, n>&)>& cost) {
  double best = cost(at);
  for (int level = 0; level < halvings;) {
    bool better = false;
    for (std::size_t i = 0; i < n; ++i)
      for (const float sign : {1.0F, -1.0F}) {
        if (step[i] == 0) continue;
        auto tried = at;
        tried[i] += sign * step[i];
        const double found = cost(tried);
        if (found < best - 1e-9) {
          best = found, at = tried, better = true;
          break;
        }
      }
    if (better) continue;
    ++level;
    for (auto& s : step) s /= 2;
  }
  return best;
}

Pose pose_from(const Seen& seen, int shape, float angle) {
  const auto& m = shape_moments()[static_cast<std::size_t>(shape)];
  const float radius = std::clamp(std::sqrt(seen.area / m.area), 0.05F, 0.6F);
  const float c = std::cos(angle), s = std::sin(angle);
  return {seen.x - radius * (m.x * c - m.y * s), seen.y - radius * (m.x * s + m.y * c), radius, angle};
}

// Improves a pose at its angle; the radius too unless it is to be kept. Returns the difference.
double fit_pose(const CoverageFrame& frame, int shape, float softness, bool keep_radius, Pose& pose) {
  std::array<float, 3> at{pose.x, pose.y, pose.radius};
  const float angle = pose.angle;
  const double best = descend<3>(at, {0.03F, 0.03F, keep_radius ? 0.0F : 0.02F}, 4, [&](const std::array<float, 3>& p) {
    if (p[2] < 0.04F || p[2] > 0.6F) return std::numeric_limits<double>::infinity();
    return difference(frame, shape, {p[0], p[1], p[2], angle}, softness);
  });
  pose = {at[0], at[1], at[2], angle};
  return best;
}

struct Reference {
  std::vector<int64_t> frames;
  double energy = 0;
};

// Frames spread over the clip that show the object whole; if there are none, those that show most of it.
Reference choose_frames(const std::vector<Seen>& seen) {
  std::vector<int64_t> whole;
  std::vector<float> areas;
  for (const auto& s : seen)
    if (!s.cut && s.area > 0.008F) areas.push_back(s.area);
  for (std::size_t t = 0; t < seen.size(); ++t)
    if (!seen[t].cut && seen[t].area > 0.008F) whole.push_back(static_cast<int64_t>(t));
  Reference reference;
  if (whole.empty()) {
    std::vector<int64_t> order(seen.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return seen[a].area > seen[b].area; });
    order.resize(std::min(order.size(), kReferenceFrames / 2));
    whole = order;
  }
  const std::size_t kept = std::min(whole.size(), kReferenceFrames);
  for (std::size_t i = 0; i < kept; ++i) reference.frames.push_back(whole[i * whole.size() / kept]);
  for (const auto t : reference.frames) reference.energy += seen[t].energy;
  return reference;
}

struct Candidate {
  int shape = 0;
  float softness = 1;
  double cost = std::numeric_limits<double>::infinity();  // misfit
  float turn = 0, rate = 0;                               // spinning: angle at the first frame, radians per frame
};

// At angle 0, the pose free in every frame.
Candidate try_still(const ObjectLayer& layer, const std::vector<Seen>& seen, const Reference& reference, int shape) {
  Candidate best;
  best.shape = shape;
  for (const float softness : kSoftness) {
    double cost = reference.energy;
    for (const auto t : reference.frames) {
      auto pose = pose_from(seen[t], shape, 0);
      cost += fit_pose(layer.frame(t), shape, softness, false, pose);
    }
    cost /= reference.energy;
    if (cost < best.cost) best.cost = cost, best.softness = softness;
  }
  return best;
}

// Turning evenly about one place, at about the world's rate.
Candidate try_spinning(const ObjectLayer& layer, const std::vector<Seen>& seen, const Reference& reference, int shape) {
  constexpr int turns = 72;
  constexpr float step = 2 * kPi / turns;
  Candidate best;
  best.shape = shape;
  std::vector<std::array<double, turns>> cost_at(reference.frames.size());
  for (std::size_t i = 0; i < reference.frames.size(); ++i)
    for (int k = 0; k < turns; ++k) {
      const auto t = reference.frames[i];
      cost_at[i][static_cast<std::size_t>(k)] =
          difference(layer.frame(t), shape, pose_from(seen[t], shape, static_cast<float>(k) * step), 2);
    }
  for (const float rate : {0.8F, 0.9F, 1.0F, 1.1F, 1.2F})
    for (int k = 0; k < turns; ++k) {
      double cost = reference.energy;
      const float per_frame = rate * kPi / static_cast<float>(kWorldFps);
      for (std::size_t i = 0; i < reference.frames.size(); ++i) {
        const auto index = k + std::lround(per_frame * static_cast<float>(reference.frames[i]) / step);
        cost += cost_at[i][static_cast<std::size_t>(index % turns)];
      }
      cost /= reference.energy;
      if (cost < best.cost) best.cost = cost, best.turn = static_cast<float>(k) * step, best.rate = per_frame;
    }
  Pose mean;
  for (const auto t : reference.frames) {
    const auto pose = pose_from(seen[t], shape, best.turn + best.rate * static_cast<float>(t));
    const auto n = static_cast<float>(reference.frames.size());
    mean.x += pose.x / n, mean.y += pose.y / n, mean.radius += pose.radius / n;
  }
  const Candidate rough = best;
  for (const float softness : kSoftness) {
    std::array<float, 5> at{mean.x, mean.y, mean.radius, rough.turn, rough.rate};
    const double cost = descend<5>(at, {0.02F, 0.02F, 0.02F, step, 0.01F}, 3, [&](const std::array<float, 5>& p) {
      if (p[2] < 0.04F || p[2] > 0.6F) return std::numeric_limits<double>::infinity();
      double sum = reference.energy;
      for (const auto t : reference.frames)
        sum += difference(layer.frame(t), shape, {p[0], p[1], p[2], p[3] + p[4] * static_cast<float>(t)}, softness);
      return sum / reference.energy;
    });
    if (cost < best.cost) best = {shape, softness, cost, at[3], at[4]};
  }
  return best;
}

// Poses of all frames at angle 0. Where the border cuts off most of the object its radius is that of the other frames.
std::vector<FittedFrame> follow(const ObjectLayer& layer, const std::vector<Seen>& seen, const Candidate& shape) {
  std::vector<FittedFrame> fitted(seen.size());
  std::vector<float> radii;
  for (std::size_t t = 0; t < seen.size(); ++t) {
    auto& frame = fitted[t];
    const auto coverage = layer.frame(static_cast<int64_t>(t));
    frame.present = seen[t].area > 0.004F;
    if (!frame.present) continue;
    frame.pose = pose_from(seen[t], shape.shape, 0);
    fit_pose(coverage, shape.shape, shape.softness, false, frame.pose);
    frame.visible = visible_share(coverage, shape.shape, frame.pose);
    frame.radius_known = !seen[t].cut || frame.visible > 0.7F;
    if (frame.radius_known) radii.push_back(frame.pose.radius);
  }
  if (radii.empty()) return fitted;
  std::nth_element(radii.begin(), radii.begin() + static_cast<std::ptrdiff_t>(radii.size() / 2), radii.end());
  const float radius = radii[radii.size() / 2];
  for (std::size_t t = 0; t < seen.size(); ++t) {
    auto& frame = fitted[t];
    if (!frame.present || frame.radius_known) continue;
    const auto coverage = layer.frame(static_cast<int64_t>(t));
    frame.pose = pose_from(seen[t], shape.shape, 0);
    frame.pose.radius = radius;
    fit_pose(coverage, shape.shape, shape.softness, true, frame.pose);
    frame.visible = visible_share(coverage, shape.shape, frame.pose);
  }
  return fitted;
}

}  // namespace

FittedShape fit_shape(const ObjectLayer& layer) {
  std::vector<Seen> seen;
  for (int64_t t = 0; t < layer.frames; ++t) seen.push_back(look(layer.frame(t)));
  const auto reference = choose_frames(seen);
  Candidate best, best_spin;
  const int spinning = static_cast<int>(std::find(world_motions().begin(), world_motions().end(), "spinning") - world_motions().begin());
  for (int shape = 0; shape < static_cast<int>(world_shapes().size()); ++shape) {
    const auto still = try_still(layer, seen, reference, shape);
    if (still.cost < best.cost) best = still;
    if (!world_motion_exists(shape, spinning) || layer.frames < 5) continue;
    const auto spin = try_spinning(layer, seen, reference, shape);
    if (spin.cost < best_spin.cost) best_spin = spin;
  }
  FittedShape fitted;
  fitted.spinning = best_spin.cost * kSpinHandicap < best.cost;
  const auto& chosen = fitted.spinning ? best_spin : best;
  fitted.shape = chosen.shape;
  fitted.misfit = chosen.cost;
  fitted.frames = follow(layer, seen, chosen);
  return fitted;
}

}  // namespace t2v
