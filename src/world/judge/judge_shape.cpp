#include "world/judge/judge_shape.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <numeric>

#include "world/world.h"

namespace t2v {

namespace {

constexpr std::size_t kReferenceFrames = 8;
constexpr float kSmallestArea = 0.008F;  // world units squared: half of a small object
constexpr int kTurns = 72;
constexpr float kTurnStep = 2 * std::numbers::pi_v<float> / kTurns;
constexpr double kWorthRefining = 2.5;  // how much worse than the best still template a roughly fitted
                                        // turning one may be
constexpr double kSpinHandicap = 1.15;  // a turning template has more freedom

// Sharp frames, and what autoencoders make of them.
const std::vector<Softening>& softenings() {
  static const std::vector<Softening> all{{0, 1}, {1, 1}, {1.8F, 1}, {1.8F, 2}, {2.5F, 2.5F}, {3.2F, 3}};
  return all;
}

// A shape of radius 1 at angle 0: its area and the centre of its area.
struct Moments {
  float area = 0, x = 0, y = 0;
};

Moments measure(int shape) {
  constexpr int n = 200;
  Moments m;
  for (int row = 0; row < n; ++row)
    for (int column = 0; column < n; ++column) {
      const float x = (static_cast<float>(column) + 0.5F) * 2.4F / n - 1.2F,
                  y = (static_cast<float>(row) + 0.5F) * 2.4F / n - 1.2F;
      if (world_shape_distance(shape, x, y) < 0) ++m.area, m.x += x, m.y += y;
    }
  m.x /= m.area, m.y /= m.area;
  m.area *= (2.4F / n) * (2.4F / n);
  return m;
}

const std::vector<Moments>& shape_moments() {
  static const std::vector<Moments> all = [] {
    std::vector<Moments> list;
    for (int shape = 0; shape < static_cast<int>(world_shapes().size()); ++shape)
      list.push_back(measure(shape));
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
  const float half_width = static_cast<float>(frame.width) / 2,
              half_height = static_cast<float>(frame.height) / 2;
  double sum = 0, sum_x = 0, sum_y = 0;
  for (int64_t row = 0; row < frame.height; ++row)
    for (int64_t column = 0; column < frame.width; ++column) {
      const float raw = frame.alpha[row * frame.width + column];
      const double alpha = raw < 0.15F ? 0 : raw;  // the background's noise is spread wide and would move the
                                                   // centre
      sum += alpha;
      sum_x += alpha * (static_cast<double>(column) + 0.5 - half_width);
      sum_y += alpha * (static_cast<double>(row) + 0.5 - half_height);
      seen.energy += frame.weight[row * frame.width + column] * raw * raw;
      const bool border = row == 0 || column == 0 || row == frame.height - 1 || column == frame.width - 1;
      seen.cut |= border && alpha > 0.4;
    }
  seen.area = static_cast<float>(sum) / (frame.unit() * frame.unit());
  if (sum > 0)
    seen.x = static_cast<float>(sum_x / sum) / frame.unit(),
    seen.y = static_cast<float>(sum_y / sum) / frame.unit();
  return seen;
}

// The share of a shape at `pose` that lies within the frame.
float visible_share(const CoverageFrame& frame, int shape, const Pose& pose) {
  constexpr int n = 24;
  const float half_width = static_cast<float>(frame.width) / frame.unit() / 2,
              half_height = static_cast<float>(frame.height) / frame.unit() / 2;
  int inside = 0, all = 0;
  for (int row = 0; row < n; ++row)
    for (int column = 0; column < n; ++column) {
      const float x = (static_cast<float>(column) + 0.5F) * 2.4F / n - 1.2F,
                  y = (static_cast<float>(row) + 0.5F) * 2.4F / n - 1.2F;
      if (world_shape_distance(shape, x, y) >= 0) continue;
      ++all;
      inside += std::abs(pose.x + x * pose.radius) < half_width &&
                std::abs(pose.y + y * pose.radius) < half_height;
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

enum class Search { wide, close, wide_at_radius };

// Improves a pose at its angle. Returns the difference.
double fit_pose(const CoverageFrame& frame, int shape, const Softening& softening, Search search,
                Pose& pose) {
  std::array<float, 3> at{pose.x, pose.y, pose.radius};
  const float angle = pose.angle;
  const float step = search == Search::close ? 0.01F : 0.03F;
  const double best = descend<3>(
      at, {step, step, search == Search::wide_at_radius ? 0.0F : step * 0.7F},
      search == Search::close ? 2 : 3, [&](const std::array<float, 3>& p) {
        if (p[2] < 0.04F || p[2] > 0.6F) return std::numeric_limits<double>::infinity();
        return template_difference(frame, shape, {p[0], p[1], p[2], angle}, softening);
      });
  pose = {at[0], at[1], at[2], angle};
  return best;
}

struct Reference {
  std::vector<int64_t> frames;
  double energy = 0;
};

// Frames spread over the clip that show the object whole and large, since small ones keep little of their
// outline; if none shows it whole, those that show most of it.
Reference choose_frames(const std::vector<Seen>& seen) {
  float largest = 0;
  for (const auto& s : seen) largest = std::max(largest, s.cut ? 0 : s.area);
  std::vector<int64_t> chosen;
  for (std::size_t t = 0; t < seen.size(); ++t)
    if (largest > kSmallestArea && !seen[t].cut && seen[t].area > 0.6F * largest)
      chosen.push_back(static_cast<int64_t>(t));
  if (chosen.empty()) {
    chosen.resize(seen.size());
    std::iota(chosen.begin(), chosen.end(), 0);
    std::stable_sort(chosen.begin(), chosen.end(),
                     [&](int64_t a, int64_t b) { return seen[a].area > seen[b].area; });
    chosen.resize(std::min(chosen.size(), kReferenceFrames / 2));
  }
  Reference reference;
  const std::size_t kept = std::min(chosen.size(), kReferenceFrames);
  for (std::size_t i = 0; i < kept; ++i) reference.frames.push_back(chosen[i * chosen.size() / kept]);
  for (const auto t : reference.frames) reference.energy += seen[t].energy;
  return reference;
}

struct Candidate {
  int shape = 0;
  const Softening* softening = nullptr;
  double cost = std::numeric_limits<double>::infinity();  // misfit
  float turn = 0, rate = 0;  // spinning: angle at the first frame, radians per frame
};

// At angle 0, the pose free in every frame.
Candidate try_still(const ObjectLayer& layer, const std::vector<Seen>& seen, const Reference& reference,
                    int shape) {
  std::vector<Pose> poses;
  for (const auto t : reference.frames) poses.push_back(pose_from(seen[t], shape, 0));
  Candidate best;
  for (const auto& softening : softenings()) {
    double cost = reference.energy;
    for (std::size_t i = 0; i < poses.size(); ++i)
      cost += fit_pose(layer.frame(reference.frames[i]), shape, softening,
                       &softening == &softenings().front() ? Search::wide : Search::close, poses[i]);
    cost /= reference.energy;
    if (cost < best.cost) best = {shape, &softening, cost, 0, 0};
  }
  return best;
}

// Turning evenly at about the world's rate, the poses as the moments say.
Candidate try_spinning(const ObjectLayer& layer, const std::vector<Seen>& seen, const Reference& reference,
                       int shape) {
  const auto& rough_softening = softenings()[1];
  Candidate best;
  std::vector<std::array<double, kTurns>> cost_at(reference.frames.size());
  for (std::size_t i = 0; i < reference.frames.size(); ++i)
    for (int k = 0; k < kTurns; ++k) {
      const auto t = reference.frames[i];
      cost_at[i][static_cast<std::size_t>(k)] = template_difference(
          layer.frame(t), shape, pose_from(seen[t], shape, static_cast<float>(k) * kTurnStep),
          rough_softening);
    }
  for (const float rate : {0.8F, 0.9F, 1.0F, 1.1F, 1.2F})
    for (int k = 0; k < kTurns; ++k) {
      double cost = reference.energy;
      const float per_frame = rate * std::numbers::pi_v<float> / static_cast<float>(kWorldFps);
      for (std::size_t i = 0; i < reference.frames.size(); ++i) {
        const auto index = k + std::lround(per_frame * static_cast<float>(reference.frames[i]) / kTurnStep);
        cost += cost_at[i][static_cast<std::size_t>(index % kTurns)];
      }
      cost /= reference.energy;
      if (cost < best.cost)
        best = {shape, &rough_softening, cost, static_cast<float>(k) * kTurnStep, per_frame};
    }
  return best;
}

// The same about one place with one radius, better fitted.
Candidate refine_spinning(const ObjectLayer& layer, const std::vector<Seen>& seen, const Reference& reference,
                          const Candidate& rough) {
  Pose mean;
  for (const auto t : reference.frames) {
    const auto pose = pose_from(seen[t], rough.shape, rough.turn + rough.rate * static_cast<float>(t));
    const auto n = static_cast<float>(reference.frames.size());
    mean.x += pose.x / n, mean.y += pose.y / n, mean.radius += pose.radius / n;
  }
  Candidate best = rough;
  for (const auto& softening : softenings()) {
    std::array<float, 5> at{mean.x, mean.y, mean.radius, rough.turn, rough.rate};
    const double cost = descend<5>(
        at, {0.02F, 0.02F, 0.02F, kTurnStep, 0.01F}, 3, [&](const std::array<float, 5>& p) {
          if (p[2] < 0.04F || p[2] > 0.6F) return std::numeric_limits<double>::infinity();
          double sum = reference.energy;
          for (const auto t : reference.frames)
            sum += template_difference(layer.frame(t), rough.shape,
                                       {p[0], p[1], p[2], p[3] + p[4] * static_cast<float>(t)}, softening);
          return sum / reference.energy;
        });
    if (cost < best.cost) best = {rough.shape, &softening, cost, at[3], at[4]};
  }
  return best;
}

// Poses of all frames at angle 0. Where the border cuts off most of the object its radius is that of the
// other frames.
std::vector<FittedFrame> follow(const ObjectLayer& layer, const std::vector<Seen>& seen,
                                const Candidate& shape) {
  std::vector<FittedFrame> fitted(seen.size());
  std::vector<float> radii;
  for (std::size_t t = 0; t < seen.size(); ++t) {
    auto& frame = fitted[t];
    const auto coverage = layer.frame(static_cast<int64_t>(t));
    frame.present = seen[t].area > 0.004F;
    if (!frame.present) continue;
    frame.pose = pose_from(seen[t], shape.shape, 0);
    fit_pose(coverage, shape.shape, *shape.softening, Search::wide, frame.pose);
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
    fit_pose(coverage, shape.shape, *shape.softening, Search::wide_at_radius, frame.pose);
    frame.visible = visible_share(coverage, shape.shape, frame.pose);
  }
  return fitted;
}

}  // namespace

FittedShape fit_shape(const ObjectLayer& layer) {
  std::vector<Seen> seen;
  for (int64_t t = 0; t < layer.frames; ++t) seen.push_back(look(layer.frame(t)));
  const auto reference = choose_frames(seen);
  Candidate still, spin;
  std::vector<Candidate> rough;
  for (int shape = 0; shape < static_cast<int>(world_shapes().size()); ++shape) {
    const auto found = try_still(layer, seen, reference, shape);
    if (found.cost < still.cost) still = found;
    if (world_motion_exists(shape, world_index(world_motions(), "spinning")) && layer.frames >= kJudgedFrames)
      rough.push_back(try_spinning(layer, seen, reference, shape));
  }
  for (const auto& candidate : rough) {
    if (candidate.cost > kWorthRefining * still.cost + 0.02) continue;
    const auto found = refine_spinning(layer, seen, reference, candidate);
    if (found.cost < spin.cost) spin = found;
  }
  FittedShape fitted;
  fitted.spinning = spin.cost * kSpinHandicap < still.cost;
  const auto& chosen = fitted.spinning ? spin : still;
  fitted.shape = chosen.shape;
  fitted.misfit = chosen.cost;
  fitted.frames = follow(layer, seen, chosen);
  return fitted;
}

}  // namespace t2v
