#include "world/judge/judge_motion.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <string>

#include "world/world.h"

namespace t2v {

namespace {

constexpr double kMissing = 0.02;   // squared distance that a frame counts as where the object should be seen
                                    // and is not
constexpr double kOutlier = 0.15;   // distance
constexpr double kUnlikely = 2e-3;  // squared distance that a parameter far from the world's counts as

// One number of the track over time, with how far each value counts.
struct Series {
  std::vector<double> time, value, weight;
};

struct Track {
  Series x, y, radius;
  double seen = 0;     // frames' weights
  double missing = 0;  // frames without the object
  double typical_radius = 0;
};

Track read_track(const std::vector<FittedFrame>& frames) {
  Track track;
  std::vector<double> radii;
  for (std::size_t t = 0; t < frames.size(); ++t) {
    const auto& frame = frames[t];
    if (!frame.present) {
      ++track.missing;
      continue;
    }
    const double time = static_cast<double>(t) / kWorldFps,
                 weight = std::clamp<double>(frame.visible, 0.1, 1);
    const auto add = [&](Series& series, double value, double w) {
      series.time.push_back(time), series.value.push_back(value), series.weight.push_back(w);
    };
    add(track.x, frame.pose.x, weight);
    add(track.y, frame.pose.y, weight);
    if (frame.radius_known) add(track.radius, frame.pose.radius, weight), radii.push_back(frame.pose.radius);
    track.seen += weight;
  }
  if (radii.empty())
    for (const auto& frame : frames)
      if (frame.present) radii.push_back(frame.pose.radius);
  if (!radii.empty()) {
    std::nth_element(radii.begin(), radii.begin() + static_cast<std::ptrdiff_t>(radii.size() / 2),
                     radii.end());
    track.typical_radius = radii[radii.size() / 2];
  }
  return track;
}

using Basis = std::function<double(double time)>;

// A squared residual as it counts: one beyond kOutlier, where a frame of the clip went wrong, counts little
// more than one at it.
double robust(double squared) { return squared / (1 + squared / (kOutlier * kOutlier)); }

// The normal equations of value ≈ Σ c_i basis_i(time), with a little damping.
template <std::size_t n>
std::array<double, n> solve(const Series& series, const std::array<Basis, n>& bases,
                            const std::vector<double>& weight) {
  std::array<std::array<double, n + 1>, n> m{};
  for (std::size_t k = 0; k < series.time.size(); ++k) {
    std::array<double, n> b;
    for (std::size_t i = 0; i < n; ++i) b[i] = bases[i](series.time[k]);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) m[i][j] += weight[k] * b[i] * b[j];
      m[i][n] += weight[k] * b[i] * series.value[k];
    }
  }
  for (std::size_t i = 0; i < n; ++i) m[i][i] += 1e-6;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t r = 0; r < n; ++r) {
      if (r == i) continue;
      const double f = m[r][i] / m[i][i];
      for (std::size_t j = i; j <= n; ++j) m[r][j] -= f * m[i][j];
    }
  std::array<double, n> c;
  for (std::size_t i = 0; i < n; ++i) c[i] = m[i][n] / m[i][i];
  return c;
}

// Least squares, iteratively reweighted for robust residuals (Geman and McClure). Returns Σ weight ·
// robust(residual²).
template <std::size_t n>
double least_squares(const Series& series, const std::array<Basis, n>& bases, std::array<double, n>& c) {
  auto weight = series.weight;
  double sum = 0;
  for (int round = 0; round < 3; ++round) {
    c = solve(series, bases, weight);
    sum = 0;
    for (std::size_t k = 0; k < series.time.size(); ++k) {
      double left = series.value[k];
      for (std::size_t i = 0; i < n; ++i) left -= c[i] * bases[i](series.time[k]);
      const double trust = 1 / (1 + left * left / (kOutlier * kOutlier));
      weight[k] = series.weight[k] * trust * trust;
      sum += series.weight[k] * robust(left * left);
    }
  }
  return sum;
}

double constant(double) { return 1; }
double sine(double time) { return std::sin(std::numbers::pi * time); }
double cosine(double time) { return std::cos(std::numbers::pi * time); }

double still_cost(const Series& series) {
  std::array<double, 1> c;
  return least_squares<1>(series, {constant}, c);
}

// 0 between low and high, growing to kUnlikely and beyond as the ratio to them leaves 1.
double unlikely(double value, double low, double high) {
  const double off = value < low ? (low - value) / low : value > high ? (value - high) / high : 0;
  return kUnlikely * off * off;
}

struct Fit {
  double cost = std::numeric_limits<double>::infinity();
  double penalty = 0, radius = 0;
};

Fit stand_still(const Track& track) {
  return {still_cost(track.x) + still_cost(track.y) + still_cost(track.radius), 0, track.typical_radius};
}

Fit pulse(const Track& track) {
  std::array<double, 3> c;
  const double cost = still_cost(track.x) + still_cost(track.y) +
                      least_squares<3>(track.radius, {constant, sine, cosine}, c);
  return {cost, unlikely(std::hypot(c[1], c[2]) / std::max(c[0], 0.05), 0.3, 0.5), c[0]};
}

Fit sway(const Track& track) {
  std::array<double, 3> c;
  const double cost = least_squares<3>(track.x, {constant, sine, cosine}, c) + still_cost(track.y) +
                      still_cost(track.radius);
  return {cost, unlikely(std::hypot(c[1], c[2]), 0.11, 0.26), track.typical_radius};
}

// x = cx + a cos - b sin, y = cy ± (a sin + b cos): one circle, clockwise on the screen as the world's, or
// the other way round.
Fit circle(const Track& track, double direction) {
  Series both;
  const auto append = [&](const Series& series, double offset) {
    for (std::size_t k = 0; k < series.time.size(); ++k) {
      both.time.push_back(series.time[k] + offset);
      both.value.push_back(series.value[k]);
      both.weight.push_back(series.weight[k]);
    }
  };
  constexpr double later = 1e4;  // a whole number of periods: tells y's values from x's
  append(track.x, 0);
  append(track.y, later);
  const auto of_x = [](double t) { return t < later / 2; };
  const std::array<Basis, 4> bases{
      [&](double t) { return of_x(t) ? 1.0 : 0.0; }, [&](double t) { return of_x(t) ? 0.0 : 1.0; },
      [&](double t) { return of_x(t) ? cosine(t) : direction * sine(t - later); },
      [&](double t) { return of_x(t) ? -sine(t) : direction * cosine(t - later); }};
  std::array<double, 4> c;
  const double cost = least_squares<4>(both, bases, c) + still_cost(track.radius);
  return {cost, unlikely(std::hypot(c[2], c[3]), 0.13, 0.25), track.typical_radius};
}

Fit bounce(const Track& track) {
  Fit best;
  for (int k = 0; k < 64; ++k) {
    const double phase = std::numbers::pi * k / 64;
    std::array<double, 2> c;
    const double cost = least_squares<2>(
        track.y, {constant, [&](double t) { return -std::abs(std::sin(std::numbers::pi * t + phase)); }}, c);
    if (c[1] < 0) continue;
    const double penalty = unlikely(c[1], 0.3, 0.75);
    if (cost + penalty * track.seen < best.cost + best.penalty * track.seen)
      best = {cost, penalty, track.typical_radius};
  }
  best.cost += still_cost(track.x) + still_cost(track.radius);
  return best;
}

double wrapped(double value, double span) { return value - std::round(value / span) * span; }

// Along one axis at an even speed, wrapping around a frame of that half extent. A frame without the object is
// as it should be where the motion has it out of sight.
Fit move(const Track& track, const Series& along, const Series& across, double direction, double half_extent,
         int64_t frames, const std::vector<FittedFrame>& seen) {
  const double span = 2 * (half_extent + track.typical_radius);
  Fit best;
  for (double speed = 0.3; speed < 1.01; speed += 0.05) {
    double s = 0, c = 0;
    for (std::size_t k = 0; k < along.time.size(); ++k) {
      const double turn = 2 * std::numbers::pi * (along.value[k] - direction * speed * along.time[k]) / span;
      s += along.weight[k] * std::sin(turn), c += along.weight[k] * std::cos(turn);
    }
    const double start = std::atan2(s, c) * span / (2 * std::numbers::pi);
    double cost = 0;
    for (std::size_t k = 0; k < along.time.size(); ++k) {
      const double left = wrapped(along.value[k] - start - direction * speed * along.time[k], span);
      cost += along.weight[k] * robust(left * left);
    }
    for (int64_t t = 0; t < frames; ++t) {
      const double at = wrapped(start + direction * speed * static_cast<double>(t) / kWorldFps, span);
      if (!seen[static_cast<std::size_t>(t)].present && std::abs(at) < half_extent) cost += kMissing;
    }
    const double penalty = unlikely(speed, 0.5, 0.7);
    if (cost + penalty * track.seen < best.cost + best.penalty * track.seen)
      best = {cost, penalty, track.typical_radius};
  }
  best.cost += still_cost(across) + still_cost(track.radius);
  return best;
}

}  // namespace

FittedMotion fit_motion(const std::vector<FittedFrame>& frames, float half_width, float half_height) {
  const auto track = read_track(frames);
  const auto count = static_cast<int64_t>(frames.size());
  FittedMotion best{-1, std::numeric_limits<double>::infinity(), 0};
  for (int motion = 0; motion < static_cast<int>(world_motions().size()); ++motion) {
    const auto& name = world_motions()[motion];
    const bool moving = name.starts_with("moving");
    Fit fit;
    if (name == "moving left") fit = move(track, track.x, track.y, -1, half_width, count, frames);
    if (name == "moving right") fit = move(track, track.x, track.y, 1, half_width, count, frames);
    if (name == "moving up") fit = move(track, track.y, track.x, -1, half_height, count, frames);
    if (name == "moving down") fit = move(track, track.y, track.x, 1, half_height, count, frames);
    if (name == "bouncing") fit = bounce(track);
    if (name == "pulsing") fit = pulse(track);
    if (name == "circling")
      fit = std::min(circle(track, 1), circle(track, -1),
                     [](const Fit& a, const Fit& b) { return a.cost < b.cost; });
    if (name == "swaying") fit = sway(track);
    if (name == "standing still") fit = stand_still(track);
    if (!moving) fit.cost += kMissing * track.missing;
    const double misfit = fit.cost / std::max(track.seen, 1.0) + fit.penalty;
    if (misfit < best.misfit) best = {motion, misfit, static_cast<float>(fit.radius)};
  }
  return best;
}

}  // namespace t2v
