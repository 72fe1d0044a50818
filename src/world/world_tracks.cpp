#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "world/world.h"

namespace t2v {

namespace {

constexpr double kSpeed = 0.6;                      // world units per second
constexpr double kAngularSpeed = std::numbers::pi;  // every oscillation has a period of 2 s

// What does not change over time: half extents of the frame, the room that keeps the object within it, the
// resting place.
struct Stage {
  double half_width, half_height;
  double reach_x, reach_y;
  std::optional<double> lane;  // of two objects: -1 for the first, 1 for the second
  double x, y;
  bool wide() const { return half_width >= half_height; }
};

double wrap(double value, double span) { return value - std::floor(value / span) * span; }

// A centre c such that c ± swing stays within ± reach; 0 when the swing fills the frame.
double clamp_centre(double c, double reach, double swing) {
  return reach > swing ? std::clamp(c, swing - reach, reach - swing) : 0;
}

Stage set_stage(const WorldObject& object, std::optional<double> lane, int64_t width, int64_t height) {
  const double unit = static_cast<double>(std::min(width, height)), radius = world_radius(object.size);
  Stage stage{
      static_cast<double>(width) / unit / 2, static_cast<double>(height) / unit / 2, 0, 0, lane, 0, 0};
  stage.reach_x = std::max(stage.half_width - radius - 0.02, 0.0);
  stage.reach_y = std::max(stage.half_height - radius - 0.02, 0.0);
  stage.x = object.x * stage.reach_x;
  stage.y = object.y * stage.reach_y;
  if (lane && stage.wide()) stage.x = *lane * stage.half_width * 0.5 + object.x * 0.06;
  if (lane && !stage.wide()) stage.y = *lane * stage.half_height * 0.5 + object.y * 0.06;
  return stage;
}

struct Circle {
  double x, y, radius;
};

Circle circle_of(const Stage& stage) {
  Circle circle{stage.x, stage.y, stage.lane ? 0.14 : std::min({0.24, stage.reach_x, stage.reach_y})};
  circle.x = clamp_centre(stage.x, stage.reach_x, circle.radius);
  circle.y = clamp_centre(stage.y, stage.reach_y, circle.radius);
  if (stage.lane && stage.wide()) circle.x = *stage.lane * stage.half_width * 0.5;
  if (stage.lane && !stage.wide()) circle.y = *stage.lane * stage.half_height * 0.5;
  return circle;
}

WorldTrack track_of(const WorldObject& object, const Stage& stage, int64_t frames) {
  const auto& motion = world_motions()[object.motion];
  const double radius = world_radius(object.size), phase = 2 * std::numbers::pi * object.phase;
  const auto circle = circle_of(stage);
  WorldTrack track;
  for (int64_t frame = 0; frame < frames; ++frame) {
    const double t = static_cast<double>(frame) / kWorldFps, turn = kAngularSpeed * t + phase;
    double x = stage.x, y = stage.y, angle = 0, scale = 1;
    if (motion == "moving left" || motion == "moving right") {
      const double span = 2 * (stage.half_width + radius), direction = motion == "moving right" ? 1 : -1;
      x = wrap(object.phase * span + direction * kSpeed * t, span) - span / 2;
      if (stage.lane) y = *stage.lane * stage.half_height * 0.5;
    } else if (motion == "moving up" || motion == "moving down") {
      const double span = 2 * (stage.half_height + radius), direction = motion == "moving down" ? 1 : -1;
      y = wrap(object.phase * span + direction * kSpeed * t, span) - span / 2;
      if (stage.lane) x = *stage.lane * stage.half_width * 0.5;
    } else if (motion == "bouncing") {
      y = stage.reach_y -
          std::min(0.7, 2 * stage.reach_y) * std::abs(std::sin(std::numbers::pi * t + phase / 2));
    } else if (motion == "spinning") {
      angle = turn;
    } else if (motion == "pulsing") {
      scale = 1 + 0.4 * std::sin(turn);
    } else if (motion == "circling") {
      x = circle.x + circle.radius * std::cos(turn);
      y = circle.y + circle.radius * std::sin(turn);
    } else if (motion == "swaying") {
      const double swing = stage.lane ? 0.12 : std::min(0.25, stage.reach_x);
      const double centre = stage.lane || stage.reach_x <= swing
                                ? stage.x
                                : clamp_centre(stage.x, stage.reach_x, swing);
      x = centre + swing * std::sin(turn);
    }
    track.x.push_back(static_cast<float>(x));
    track.y.push_back(static_cast<float>(y));
    track.angle.push_back(static_cast<float>(angle));
    track.radius.push_back(static_cast<float>(radius * scale));
  }
  return track;
}

}  // namespace

std::vector<WorldTrack> world_tracks(const WorldScene& scene, int64_t frames, int64_t width, int64_t height) {
  std::vector<WorldTrack> tracks;
  for (std::size_t i = 0; i < scene.objects.size(); ++i) {
    const auto lane = scene.objects.size() == 1 ? std::nullopt : std::optional<double>(i == 0 ? -1 : 1);
    tracks.push_back(track_of(scene.objects[i], set_stage(scene.objects[i], lane, width, height), frames));
  }
  return tracks;
}

}  // namespace t2v
