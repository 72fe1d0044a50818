#include <algorithm>
#include <cmath>

#include "world/book/arithmetic.h"
#include "world/book/book.h"
#include "world/book/camera.h"
#include "world/book/sprites.h"
#include "world/book/vocabulary.h"

namespace t2v {

namespace {

// Sizes in pixels of a frame of 128x128, by world_sizes(); of things that change theirs: from, to.
struct SizeRange {
  double from, to;
};
constexpr SizeRange kAlone[] = {{40, 50}, {50, 64}, {64, 80}}, kPair[] = {{36, 44}, {44, 56}, {44, 56}};
constexpr SizeRange kAloneGrows{40, 80}, kPairGrows{36, 56};

double mix(double a, double b, double t) { return a + (b - a) * t; }

// All lengths in units of sqrt(width · height), the origin in the middle of the frame, y down.
struct Stage {
  double half_width, half_height;
  double smallest, size, largest;  // of the thing
  double tall;                     // of the thing, a share of its size
  bool pair, first;                // one of two; the one further back
  bool grounded;                   // its foot stays where it stands
  double x, y;                     // where it rests: its middle, or its foot
  double middle_of(double k) const { return grounded ? y - k * tall / 2 : y; }
};

bool travels(int motion) {
  return motion == moving_left || motion == moving_right || motion == hopping_left || motion == hopping_right;
}
bool goes_left(int motion) { return motion == moving_left || motion == hopping_left; }

// Whether it stands on the ground, or on the water.
bool is_grounded(const BookThing& thing, int place) {
  const auto ground = book_places()[static_cast<std::size_t>(place)].ground;
  if (ground != BookGround::land && ground != BookGround::water) return false;
  if (thing.motion == moving_up || thing.motion == moving_down || thing.motion == circling) return false;
  const bool across = thing.motion == moving_left || thing.motion == moving_right;
  if (book_nouns()[static_cast<std::size_t>(thing.noun)].body == BookBody::drifter) return false;
  return !across || book_manner(thing.noun, place) != BookManner::flying;
}

Stage set_stage(const BookShot& shot, std::size_t index, const BookView& view) {
  const auto& thing = shot.things[index];
  const auto& place = book_places()[static_cast<std::size_t>(shot.place)];
  const double unit = view.unit(), least = std::min(view.width, view.height) / unit;
  Stage stage{};
  stage.half_width = view.width / unit / 2;
  stage.half_height = view.half_height();
  stage.pair = shot.things.size() > 1;
  stage.first = index == 0;
  const auto range = (stage.pair ? kPair : kAlone)[thing.size];
  const auto grows = stage.pair ? kPairGrows : kAloneGrows;
  const double limit = least * (stage.pair ? 0.5 : 0.75);
  stage.size = std::min(mix(range.from, range.to, thing.scale) / 128, limit);
  stage.largest = std::min(grows.to / 128, limit);
  stage.smallest = std::min(grows.from / 128, stage.largest * 0.65);
  stage.tall = book_extent(thing.noun).height;
  stage.grounded = is_grounded(thing, shot.place);

  const double pan = shot.camera == BookCamera::pans_left || shot.camera == BookCamera::pans_right ? 0.2 : 0;
  const double room = std::max(stage.half_width - stage.size / 2 - 0.03 - pan, 0.0);
  stage.x = thing.x * room;
  if (stage.pair) {
    const bool left = stage.first == (shot.relation != BookRelation::right_of);
    stage.x = (left ? -0.5 : 0.5) * stage.half_width + thing.x * 0.04;
  }
  double down = (thing.y + 1) / 2;
  if (stage.pair) down = (down + (stage.first ? 0 : 1)) / 2;  // what is nearer stands lower
  const bool land = place.ground == BookGround::land || place.ground == BookGround::water;
  const double share = stage.grounded || !land ? mix(place.foot_from, place.foot_to, down)
                                               : mix(0.24, 0.5, down);
  // All of it is within the frame, also of a large thing in a low frame.
  const double tallest = (thing.motion == growing || thing.motion == shrinking || thing.motion == pulsing
                              ? stage.largest
                              : stage.size) *
                         stage.tall;
  const double top = (stage.grounded ? tallest : tallest / 2) + 0.02 - stage.half_height;
  const double bottom = stage.half_height - 0.02 - (stage.grounded ? 0 : tallest / 2);
  stage.y = std::clamp((share * 2 - 1) * stage.half_height, std::min(top, bottom), bottom);
  return stage;
}

// How much slower a thing goes when the camera pans the other way, so that it is seen as long.
double against(const BookShot& shot, int motion) {
  const auto camera = shot.camera;
  const bool meets = goes_left(motion)     ? camera == BookCamera::pans_right
                     : travels(motion)     ? camera == BookCamera::pans_left
                     : motion == moving_up ? camera == BookCamera::pans_down
                                           : camera == BookCamera::pans_up;
  return meets ? 0.15 : 0;
}

// Back to [-span / 2, span / 2).
double wrap(double value, double span) { return value - std::floor(value / span + 0.5) * span; }

// Turned so that its nose, which the drawing has up and right, points along (x, y).
void point_along(double x, double y, bool may_mirror, BookPose& pose) {
  const double turns = book_angle_turns(x, y);
  pose.mirrored = may_mirror && x < -1e-9;
  pose.angle = turns + (pose.mirrored ? 0.375 : 0.125);
}

// Across the frame, in the middle of it half way through the shot.
void travel(const BookShot& shot, const BookThing& thing, const Stage& stage, double t, double middle,
            const BookView& view, BookPose& pose) {
  const double direction = goes_left(thing.motion) ? -1 : 1;
  const bool hops = thing.motion == hopping_left || thing.motion == hopping_right;
  const bool chase = shot.relation == BookRelation::chasing;
  const double narrow = std::min(1.0, 2 * stage.half_width);
  const double speed = narrow * (chase ? 0.36 : mix(0.42, 0.54, thing.speed) - against(shot, thing.motion));
  const double start = chase ? direction * narrow * (stage.first ? -0.21 : 0.21) : thing.x * 0.1;
  const double way = direction * speed * (t - middle), span = 2 * stage.half_width + stage.size * 1.15;
  pose.x = wrap(start + way - view.x, span);
  const double turns = 0.75 * t + thing.phase;
  double wave = 0, slope = 0;
  switch (hops ? BookManner::moving : book_manner(thing.noun, shot.place)) {
    case BookManner::walking:
      wave = -0.012 * std::abs(book_sin_turns(t + thing.phase));
      break;
    case BookManner::flying:
    case BookManner::swimming:
      wave = 0.03 * book_sin_turns(turns);
      slope = 0.03 * 0.75 * 2 * kBookPi * book_cos_turns(turns);
      break;
    case BookManner::floating:
      wave = 0.02 * book_sin_turns(turns);
      break;
    case BookManner::sailing:
      wave = 0.008 * book_sin_turns(turns);
      pose.angle = 0.012 * book_sin_turns(turns + 0.2);
      break;
    case BookManner::rolling:
      pose.angle = way / (kBookPi * stage.size);
      break;
    default:
      break;
  }
  if (hops) {
    const double highest = pose.y - stage.size * stage.tall / 2 + stage.half_height;  // room above it
    const double most = stage.grounded ? std::clamp(highest, 0.08, 0.14) : 0.14;
    wave = -most * std::abs(book_sin_turns(0.75 * t + thing.phase / 2)) + (stage.grounded ? 0 : most / 2);
  }
  pose.y += wave;
  const auto facing = book_nouns()[static_cast<std::size_t>(thing.noun)].facing;
  pose.mirrored = facing == BookFacing::left && direction > 0;
  if (facing == BookFacing::up_right && !hops) point_along(direction * speed, slope, true, pose);
  if (facing == BookFacing::up_right && hops) pose.mirrored = direction < 0;
}

void circle(const BookThing& thing, const Stage& stage, double t, BookPose& pose) {
  const double most = stage.pair ? 0.13 : 0.2;
  const double radius = std::clamp(std::min(stage.half_height, stage.half_width) - stage.size / 2 - 0.02,
                                   0.08, most);
  const double reach_x = std::max(stage.half_width - radius - stage.size / 2, 0.0),
               reach_y = std::max(stage.half_height - radius - stage.size / 2, 0.0);
  const double turns = 0.5 * t + thing.phase, cosine = book_cos_turns(turns), sine = book_sin_turns(turns);
  pose.x += std::clamp(stage.x, -reach_x, reach_x) - stage.x + radius * cosine;
  pose.y += std::clamp(stage.y, -reach_y, reach_y) - stage.y + radius * sine;
  const auto facing = book_nouns()[static_cast<std::size_t>(thing.noun)].facing;
  if (facing == BookFacing::left) pose.mirrored = sine < 0;  // it goes right on the upper half
  if (facing == BookFacing::up_right) point_along(-sine, cosine, false, pose);
}

BookPose pose_of(const BookShot& shot, const BookThing& thing, const Stage& stage, double t, double middle,
                 const BookView& view) {
  const auto& noun = book_nouns()[static_cast<std::size_t>(thing.noun)];
  double size = stage.size;
  const double grown = std::clamp(t / book_shot_seconds(shot), 0.0, 1.0);
  if (thing.motion == growing) size = mix(stage.smallest, stage.largest, grown);
  if (thing.motion == shrinking) size = mix(stage.largest, stage.smallest, grown);
  if (thing.motion == pulsing)
    size = (stage.smallest + stage.largest) / 2 +
           (stage.largest - stage.smallest) / 2 * book_sin_turns(0.5 * t + thing.phase);
  BookPose pose{stage.x - view.x, stage.middle_of(size) - view.y, size, 0,
                thing.mirrored && noun.facing != BookFacing::none};
  if (travels(thing.motion)) {
    travel(shot, thing, stage, t, middle, view, pose);
  } else if (thing.motion == moving_up || thing.motion == moving_down) {
    const double direction = thing.motion == moving_up ? -1 : 1;
    const double speed = (mix(0.42, 0.54, thing.speed) - against(shot, thing.motion)) *
                         std::min(1.0, 2 * stage.half_height);
    const double way = direction * speed * (t - middle);
    pose.y = wrap(thing.y * 0.1 + way - view.y, 2 * stage.half_height + size * 1.15);
    if (noun.facing == BookFacing::up_right) point_along(0, direction, false, pose);
  } else if (thing.motion == bouncing) {
    const double foot = stage.grounded ? stage.y : stage.half_height * 0.84;
    const double most = std::max(foot + stage.half_height - size * stage.tall - 0.02, 0.1);
    pose.y = foot - size * stage.tall / 2 - view.y -
             std::min(0.45, most) * std::abs(book_sin_turns(0.5 * t + thing.phase / 2));
  } else if (thing.motion == spinning) {
    pose.angle = 0.5 * t + thing.phase;
  } else if (thing.motion == circling) {
    circle(thing, stage, t, pose);
  } else if (thing.motion == swaying) {
    const double swing = stage.pair ? 0.11 : std::min(0.22, stage.half_width - size / 2);
    const double room = std::max(stage.half_width - size / 2 - swing, 0.0);
    if (!stage.pair) pose.x += std::clamp(stage.x, -room, room) - stage.x;
    pose.x += swing * book_sin_turns(0.5 * t + thing.phase);
  }
  return pose;
}

}  // namespace

double book_shot_seconds(const BookShot& shot) {
  return static_cast<double>(std::max<int64_t>(shot.frames, 17)) / kWorldFps;
}

BookView book_view(const BookShot& shot, int64_t frame, int64_t width, int64_t height) {
  BookView view{static_cast<int>(width), static_cast<int>(height)};
  view.seconds = static_cast<double>(frame) / kWorldFps;
  const double seconds = book_shot_seconds(shot);
  const double middle = static_cast<double>(shot.frames - 1) / kWorldFps / 2;
  const double narrow = std::min(1.0, static_cast<double>(view.width) / view.unit());
  const double way = narrow * std::min(0.21, 0.8 / seconds) * (view.seconds - middle);
  const double down = 0.8 * std::min(1.0, 2 * view.half_height()) / narrow;
  constexpr double closer = 1.4;  // how far a zoom goes
  const double share = std::clamp(view.seconds / seconds, 0.0, 1.0);
  const double near = 1.18 / closer * (1 + (closer - 1) * share),
               far = 1.18 / closer * (1 + (closer - 1) * (1 - share));
  switch (shot.camera) {
    case BookCamera::still:
      break;
    case BookCamera::pans_left:
      view.x = -way;
      break;
    case BookCamera::pans_right:
      view.x = way;
      break;
    case BookCamera::pans_up:
      view.y = -way * down;
      break;
    case BookCamera::pans_down:
      view.y = way * down;
      break;
    case BookCamera::zooms_in:
      view.zoom = near;
      break;
    case BookCamera::zooms_out:
      view.zoom = far;
      break;
  }
  return view;
}

std::vector<std::vector<BookPose>> book_poses(const BookShot& shot, int64_t width, int64_t height) {
  std::vector<std::vector<BookPose>> poses(shot.things.size());
  const double middle = static_cast<double>(shot.frames - 1) / kWorldFps / 2;
  for (int64_t frame = 0; frame < shot.frames; ++frame) {
    const auto view = book_view(shot, frame, width, height);
    for (std::size_t i = 0; i < shot.things.size(); ++i) {
      auto pose = pose_of(shot, shot.things[i], set_stage(shot, i, view), view.seconds, middle, view);
      const double scale = view.zoom * view.unit();
      pose.x = static_cast<double>(width) / 2 + pose.x * scale;
      pose.y = static_cast<double>(height) / 2 + pose.y * scale;
      pose.size *= scale;
      poses[i].push_back(pose);
    }
  }
  return poses;
}

}  // namespace t2v
