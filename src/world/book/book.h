// World v2, the picture book: named things in scenes, filmed by a camera (docs/picture-book.md). Drawings of
// Noto Emoji and the coloured shapes of world v1 as things; places drawn by code; 8 frames a second.
//
// The same seed gives the same scene, caption and pixels on every machine.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "world/world.h"

namespace t2v {

// Indices into book_noun_names(), book_motion_names(), world_sizes(). x, y in [-1, 1] and phase, speed, scale
// in [0, 1) place the motion.
struct BookThing {
  int noun = 0, motion = 0, size = 1;
  double x = 0, y = 0, phase = 0, speed = 0, scale = 0;
  bool mirrored = false;  // where the motion does not say it
};

enum class BookCamera { still, pans_left, pans_right, pans_up, pans_down, zooms_in, zooms_out };
enum class BookWeather { clear, rain, snow };
// Of the first thing to the second. Said of things that stay where they are: left of, right of. chasing: both
// go the same way, the first behind.
enum class BookRelation { none, left_of, right_of, chasing };

struct BookShot {
  std::vector<BookThing> things;  // one or two, of different nouns; the first is further back
  int place = 0;                  // index into book_places()
  uint64_t seed = 0;              // which meadow it is
  BookCamera camera = BookCamera::still;
  BookWeather weather = BookWeather::clear;
  BookRelation relation = BookRelation::none;
  int64_t frames = 0;
};

struct BookScene {
  std::vector<BookShot> shots;  // cut one after another
  int64_t frames() const;
};

// The names of what there is, as scene JSON has them. Nouns: the drawings, then "red circle" … "cyan cross".
const std::vector<std::string>& book_noun_names();
const std::vector<std::string>& book_motion_names();  // world v1's ten come first
const std::vector<std::string>& book_place_names();
const std::vector<std::string>& book_camera_names();
const std::vector<std::string>& book_weather_names();
const std::vector<std::string>& book_relation_names();

// A round thing cannot be seen to spin.
bool book_motion_exists(int noun, int motion);

// One in ten combinations of thing, motion and place is never shown in training. It follows from the names
// alone, so that new things and places change nothing about the old ones. World v1's triples of colour, shape
// and motion stay held out, at every place.
bool book_held_out(int noun, int motion, int place);

constexpr int kBookDrawings = 64;

// How often things occur.
struct BookShares {
  int drawings = kBookDrawings;  // the first so many nouns; fewer for a smaller world
  double two_things = 0.25;
  double shapes = 0.15;        // of things, the coloured shapes
  double plain = 0.12;         // of places, plain colours
  double moving_camera = 0.5;  // of shots of places
  double cuts = 0.5;           // of clips longer than 17 frames
};

// A scene of `frames` frames whose things are all on the given side of book_held_out. A single frame shows
// things that stand still.
BookScene sample_book_scene(WorldRandom& random, WorldSide side, int64_t frames, const BookShares& shares);

// What a caption tells of every shot: its things always, the rest as said here. A camera that is still goes
// without saying.
struct BookCaption {
  std::string text;
  bool motion = true, place = true, camera = true;
};

// One of many ways to say what the scene shows; one in ten is short, one in ten long.
BookCaption book_caption(const BookScene& scene, WorldRandom& random);

// Where a thing is in one frame: pixels, and turns clockwise. size: of the longer side of what is seen of it.
struct BookPose {
  double x = 0, y = 0, size = 0, angle = 0;
  bool mirrored = false;
};

// [thing][frame], camera included.
std::vector<std::vector<BookPose>> book_poses(const BookShot& shot, int64_t width, int64_t height);

// Frames in [-1, 1]: float32 [3, T, H, W].
at::Tensor render_book(const BookScene& scene, int64_t width, int64_t height);

// {"shots": [{"first_frame", "frames", "place", "camera", "weather", "relation", "things": [{"noun",
// "motion", "size", "held_out", "track": [[x, y, size], …]}]}]}; x, y and size of a track in pixels, one
// entry a frame.
Json book_scene_to_json(const BookScene& scene, int64_t width, int64_t height);

}  // namespace t2v
