// World v1: a procedural, captioned video world. One or two coloured shapes, each with a size and a motion,
// on a plain background: an endless labelled data set, small enough that a model can be judged on exact
// prompts (docs/world.md).
//
// Coordinates are in units of min(width, height), the origin in the centre of the frame, y down. Every motion
// has a period of 2 s or wraps around the frame, so that a clip of any length is well defined. 8 frames per
// second. Source: tools/oracle/world_reference.py, which draws the same scene to the same picture within
// 1/255.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace t2v {

constexpr double kWorldFps = 8;

// Indices into world_shapes(), world_colours(), world_motions(), world_sizes(); x, y in [-1, 1] and phase in
// [0, 1) place the motion.
struct WorldObject {
  int shape = 0, colour = 0, motion = 0, size = 0;
  double x = 0, y = 0, phase = 0;
};

struct WorldScene {
  std::vector<WorldObject> objects;  // one or two, of different colours
  int background = 0;
};

const std::vector<std::string>& world_shapes();
const std::vector<std::string>& world_colours();
const std::vector<std::string>& world_motions();
const std::vector<std::string>& world_sizes();  // "small", "", "large"
const std::vector<std::string>& world_backgrounds();
// Where `name` stands in one of these tables. Throws Error{usage} naming those there are.
int world_index(const std::vector<std::string>& names, const std::string& name);
std::array<uint8_t, 3> world_colour_rgb(int colour);
std::array<uint8_t, 3> world_background_rgb(int background);
double world_radius(int size);
bool world_motion_exists(int shape, int motion);  // a circle or a ring cannot be seen to spin

// One in ten triples of colour, shape and motion is never shown in training: generalisation to new
// combinations is judged on those.
bool world_held_out(const WorldObject& object);

// Random numbers that are the same on every machine (SplitMix64, Steele et al. 2014); streams of one seed are
// independent.
class WorldRandom {
 public:
  explicit WorldRandom(uint64_t seed, uint64_t stream = 0);
  uint64_t next();
  double uniform();                         // [0, 1)
  double uniform(double low, double high);  // [low, high)
  std::size_t index(std::size_t n);         // 0 … n - 1

 private:
  uint64_t state_;
};

enum class WorldSide { training, held_out, any };

// How often things occur.
struct WorldShares {
  double two_objects = 0.25;  // the probability of a second object
  // How many times as often as the others each shape, motion and size is drawn; all alike when empty.
  std::vector<double> shapes{}, motions{}, sizes{};
};

// A scene of one object or two, which are all on the given side of world_held_out.
WorldScene sample_world_scene(WorldRandom& random, WorldSide side, const WorldShares& shares);

// One of several ways to say what the scene shows: "a large red heart moving in a circle on a beige
// background".
std::string world_caption(const WorldScene& scene, WorldRandom& random);

// Where an object is in every frame. Radians for the angle, world units for the rest.
struct WorldTrack {
  std::vector<float> x, y, angle, radius;
};

// One track per object; a second object keeps to its own half of the longer side.
std::vector<WorldTrack> world_tracks(const WorldScene& scene, int64_t frames, int64_t width, int64_t height);

// Signed distance to the outline of a shape of radius 1, negative inside.
float world_shape_distance(int shape, float x, float y);

// Frames in [-1, 1]: float32 [3, T, H, W].
at::Tensor render_world(const WorldScene& scene, int64_t frames, int64_t width, int64_t height);

}  // namespace t2v
