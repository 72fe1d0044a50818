#include "world/world.h"

#include <algorithm>

#include "t2v/error.h"

namespace t2v {

namespace {

constexpr std::array<std::array<uint8_t, 3>, 8> kColours{{{222, 38, 38},
                                                          {245, 140, 20},
                                                          {250, 222, 40},
                                                          {40, 170, 60},
                                                          {40, 90, 230},
                                                          {140, 50, 190},
                                                          {250, 130, 180},
                                                          {60, 215, 225}}};
constexpr std::array<std::array<uint8_t, 3>, 6> kBackgrounds{
    {{12, 12, 14}, {245, 245, 245}, {128, 128, 128}, {16, 24, 84}, {10, 98, 100}, {226, 208, 170}}};
constexpr std::array<double, 3> kRadii{0.15, 0.22, 0.31};

const std::vector<std::vector<std::string>>& motion_phrases() {
  static const std::vector<std::vector<std::string>> phrases{
      {"moving left", "sliding to the left", "going left"},
      {"moving right", "sliding to the right", "going right"},
      {"moving up", "rising", "going up"},
      {"moving down", "falling", "going down"},
      {"bouncing", "bouncing up and down"},
      {"spinning", "rotating"},
      {"pulsing", "growing and shrinking"},
      {"circling", "moving in a circle"},
      {"swaying", "moving from side to side"},
      {"standing still", "not moving", "still"}};
  return phrases;
}

const std::string& choose(const std::vector<std::string>& list, WorldRandom& random) {
  return list[random.index(list.size())];
}

// Whether a thing that was drawn from a table stays, so that in the end it occurs by its weight.
bool keep(WorldRandom& random, const std::vector<double>& weights, int drawn) {
  return weights.empty() || random.uniform() * *std::max_element(weights.begin(), weights.end()) <
                                weights[static_cast<std::size_t>(drawn)];
}

WorldObject sample_object(WorldRandom& random, WorldSide side, const WorldShares& shares) {
  const auto pick = [&](const std::vector<std::string>& list) {
    return static_cast<int>(random.index(list.size()));
  };
  for (;;) {
    WorldObject object;
    object.colour = pick(world_colours());
    object.shape = pick(world_shapes());
    object.motion = pick(world_motions());
    object.size = pick(world_sizes());
    object.x = random.uniform(-1, 1);
    object.y = random.uniform(-1, 1);
    object.phase = random.uniform();
    if (!world_motion_exists(object.shape, object.motion)) continue;
    if (!keep(random, shares.shapes, object.shape) || !keep(random, shares.motions, object.motion) ||
        !keep(random, shares.sizes, object.size))
      continue;
    if (side == WorldSide::any || world_held_out(object) == (side == WorldSide::held_out)) return object;
  }
}

std::string phrase(const WorldObject& object, WorldRandom& random) {
  const auto& size = world_sizes()[object.size];
  const auto named = (size.empty() ? "" : size + " ") + world_colours()[object.colour] + " " +
                     world_shapes()[object.shape];
  const bool vowel = std::string("aeiou").find(named.front()) != std::string::npos;
  return (vowel ? "an " : "a ") + named + " " + choose(motion_phrases()[object.motion], random);
}

}  // namespace

const std::vector<std::string>& world_shapes() {
  static const std::vector<std::string> names{"circle", "square",  "triangle", "star",
                                              "heart",  "diamond", "ring",     "cross"};
  return names;
}

const std::vector<std::string>& world_colours() {
  static const std::vector<std::string> names{"red",  "orange", "yellow", "green",
                                              "blue", "purple", "pink",   "cyan"};
  return names;
}

const std::vector<std::string>& world_motions() {
  static const std::vector<std::string> names{"moving left", "moving right",  "moving up", "moving down",
                                              "bouncing",    "spinning",      "pulsing",   "circling",
                                              "swaying",     "standing still"};
  return names;
}

const std::vector<std::string>& world_sizes() {
  static const std::vector<std::string> names{"small", "", "large"};
  return names;
}

const std::vector<std::string>& world_backgrounds() {
  static const std::vector<std::string> names{"black", "white", "gray", "navy", "teal", "beige"};
  return names;
}

int world_index(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) return static_cast<int>(found - names.begin());
  std::string known;
  for (const auto& each : names) known += (known.empty() ? "'" : ", '") + each + "'";
  throw Error(ErrorKind::usage, "'" + name + "' is not in the world; there are " + known);
}

std::array<uint8_t, 3> world_colour_rgb(int colour) { return kColours.at(static_cast<std::size_t>(colour)); }
std::array<uint8_t, 3> world_background_rgb(int background) {
  return kBackgrounds.at(static_cast<std::size_t>(background));
}
double world_radius(int size) { return kRadii.at(static_cast<std::size_t>(size)); }

bool world_motion_exists(int shape, int motion) {
  const auto& name = world_shapes()[shape];
  return world_motions()[motion] != "spinning" || (name != "circle" && name != "ring");
}

bool world_held_out(const WorldObject& object) {
  return (object.colour * 3 + object.shape * 5 + object.motion * 7) % 10 == 0;
}

WorldRandom::WorldRandom(uint64_t seed, uint64_t stream) : state_(seed) {
  state_ = next() ^ (stream * 0xD1342543DE82EF95u);
  state_ = next();
}

uint64_t WorldRandom::next() {
  uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

double WorldRandom::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
double WorldRandom::uniform(double low, double high) { return low + (high - low) * uniform(); }

std::size_t WorldRandom::index(std::size_t n) {
  return std::min(static_cast<std::size_t>(uniform() * static_cast<double>(n)), n - 1);
}

WorldScene sample_world_scene(WorldRandom& random, WorldSide side, const WorldShares& shares) {
  WorldScene scene;
  scene.objects.push_back(sample_object(random, side, shares));
  if (random.uniform() < shares.two_objects) {
    auto second = sample_object(random, side, shares);
    while (second.colour == scene.objects[0].colour) second = sample_object(random, side, shares);
    scene.objects.push_back(second);
    for (auto& object : scene.objects) {
      do object.size = static_cast<int>(random.index(2));  // two large ones would not fit
      while (!keep(random, shares.sizes, object.size));
    }
  }
  scene.background = static_cast<int>(random.index(world_backgrounds().size()));
  return scene;
}

std::string world_caption(const WorldScene& scene, WorldRandom& random) {
  std::string what;
  for (const auto& object : scene.objects) what += (what.empty() ? "" : " and ") + phrase(object, random);
  const auto& background = world_backgrounds()[scene.background];
  switch (random.index(6)) {
    case 0:
    case 1:
      return what + " on a " + background + " background";
    case 2:
      return what + ", " + background + " background";
    case 3:
      return background + " background, " + what;
    case 4:
      return "a video of " + what + " on a " + background + " background";
    default:
      return what + " against " + background;
  }
}

}  // namespace t2v
