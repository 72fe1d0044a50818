// Drawing scenes by chance.
#include <algorithm>

#include "world/book/book.h"
#include "world/book/vocabulary.h"

namespace t2v {

namespace {

const BookNoun& noun_at(int noun) { return book_nouns()[static_cast<std::size_t>(noun)]; }

template <class T>
const T& choose(const std::vector<T>& list, WorldRandom& random) {
  return list[random.index(list.size())];
}

// What a thing does oftener than other motions.
const std::vector<int>& suited_motions(BookBody body) {
  static const std::vector<int> walker{moving_left, moving_right, standing_still, hopping_left,
                                       hopping_right},
      flyer{moving_left, moving_right, moving_up, circling, moving_left, moving_right},
      swimmer{moving_left, moving_right, swaying, circling},
      crawler{moving_left, moving_right, standing_still}, sail{moving_left, moving_right, swaying},
      ball{bouncing, moving_left, moving_right, moving_down, spinning},
      drifter{moving_up, moving_down, swaying, standing_still},
      inert{standing_still, spinning, growing, shrinking, moving_down, bouncing};
  switch (body) {
    case BookBody::walker:
    case BookBody::waterfowl:
      return walker;
    case BookBody::flyer:
      return flyer;
    case BookBody::swimmer:
      return swimmer;
    case BookBody::crawler:
    case BookBody::wheels:
      return crawler;
    case BookBody::sail:
      return sail;
    case BookBody::ball:
      return ball;
    case BookBody::drifter:
      return drifter;
    default:
      return inert;
  }
}

bool stays(int motion) {
  return motion == standing_still || motion == spinning || motion == pulsing || motion == growing ||
         motion == shrinking || motion == bouncing || motion == swaying;
}

int sample_noun(WorldRandom& random, const BookShares& shares) {
  if (random.uniform() >= shares.shapes)
    return static_cast<int>(random.index(static_cast<std::size_t>(shares.drawings)));
  return kBookDrawings + static_cast<int>(random.index(book_nouns().size() - kBookDrawings));
}

int sample_motion(int noun, int64_t frames, WorldRandom& random) {
  if (frames == 1) return standing_still;
  const auto& thing = noun_at(noun);
  if (thing.shape < 0 && random.uniform() < 0.5) return choose(suited_motions(thing.body), random);
  return static_cast<int>(random.index(book_motion_names().size()));
}

int sample_place(int noun, WorldRandom& random, const BookShares& shares) {
  const auto& thing = noun_at(noun);
  const double plain = thing.shape >= 0 ? std::max(shares.plain, 0.5) : shares.plain;
  if (random.uniform() < plain)
    return first_plain + static_cast<int>(random.index(book_places().size() - first_plain));
  if (!thing.at_home.empty() && random.uniform() < 0.4) return choose(thing.at_home, random);
  return static_cast<int>(random.index(first_plain));
}

BookThing sample_thing(int noun, int motion, bool pair, WorldRandom& random) {
  BookThing thing;
  thing.noun = noun;
  thing.motion = motion;
  thing.size = static_cast<int>(random.index(pair ? 2 : 3));  // two large ones would not fit
  if (motion == growing || motion == shrinking || motion == pulsing) thing.size = 1;
  thing.x = random.uniform(-1, 1);
  thing.y = random.uniform(-1, 1);
  thing.phase = random.uniform();
  thing.speed = random.uniform();
  thing.scale = random.uniform();
  thing.mirrored = random.uniform() < 0.5;
  return thing;
}

bool may_chase(const BookNoun& noun) {
  return noun.shape < 0 && noun.body != BookBody::inert && noun.body != BookBody::drifter &&
         noun.body != BookBody::ball && noun.body != BookBody::sail;
}

// Two things that a reader of captions could take for each other.
bool alike(int a, int b) {
  return a == b || (noun_at(a).colour >= 0 && noun_at(a).colour == noun_at(b).colour);
}

BookWeather sample_weather(int place, WorldRandom& random) {
  const double chance = random.uniform();
  const bool wet = place == meadow || place == green_hills || place == pine_forest || place == road ||
                   place == city || place == mountains || place == beach || place == sea;
  const bool cold = place == snowy_field || place == pine_forest || place == mountains || place == city ||
                    place == road;
  if (wet && chance < 0.06) return BookWeather::rain;
  if (cold && chance > 0.92) return BookWeather::snow;
  return BookWeather::clear;
}

BookShot sample_shot(WorldRandom& random, WorldSide side, int64_t frames, const BookShares& shares,
                     int not_at) {
  const auto fits = [&](int noun, int motion, int place) {
    return book_motion_exists(noun, motion) &&
           (side == WorldSide::any || book_held_out(noun, motion, place) == (side == WorldSide::held_out));
  };
  BookShot shot;
  shot.frames = frames;
  const bool pair = random.uniform() < shares.two_things,
             chase = pair && frames > 1 && random.uniform() < 0.15;
  const auto motion_of = [&](int noun) {
    if (!chase) return sample_motion(noun, frames, random);
    return random.uniform() < 0.5 ? static_cast<int>(moving_left) : static_cast<int>(moving_right);
  };
  int noun = 0, motion = 0;
  do {
    noun = sample_noun(random, shares);
    motion = motion_of(noun);
    shot.place = sample_place(noun, random, shares);
  } while (shot.place == not_at || !fits(noun, motion, shot.place) || (chase && !may_chase(noun_at(noun))));
  shot.things.push_back(sample_thing(noun, motion, pair, random));
  if (pair) {
    int second = 0, moves = 0, tries = 0;
    do {
      // Where nothing on this side may be the second, of few things above all, the shot is drawn anew.
      if (++tries > 1000) return sample_shot(random, side, frames, shares, not_at);
      second = sample_noun(random, shares);
      moves = chase ? motion : motion_of(second);
    } while (alike(noun, second) || !fits(second, moves, shot.place) ||
             (chase && !may_chase(noun_at(second))));
    shot.things.push_back(sample_thing(second, moves, pair, random));
    if (chase) shot.relation = BookRelation::chasing;
    if (stays(motion) && stays(moves))
      shot.relation = random.uniform() < 0.5 ? BookRelation::left_of : BookRelation::right_of;
  }
  shot.seed = random.next();
  const bool still = frames == 1 || shot.place >= first_plain || random.uniform() >= shares.moving_camera;
  if (!still) shot.camera = static_cast<BookCamera>(1 + random.index(book_camera_names().size() - 1));
  shot.weather = sample_weather(shot.place, random);
  return shot;
}

// Lengths of the shots of a clip. A cut is where an autoencoder begins a new group of 4 or 8 frames.
std::vector<int64_t> sample_cuts(int64_t frames, WorldRandom& random, const BookShares& shares) {
  if (frames <= 17 || random.uniform() >= shares.cuts) return {frames};
  const std::size_t shots = frames >= 49 && random.uniform() < 0.4 ? 3 : 2;
  constexpr int64_t group = 8;
  const int64_t least = frames >= 33 ? 2 : 1;  // groups of a shot
  const int64_t groups = (frames - 1) / group;
  std::vector<int64_t> lengths;
  int64_t begin = 0, left = groups;
  for (std::size_t i = 1; i < shots; ++i) {
    const int64_t spare = left - least * static_cast<int64_t>(shots - i + 1);
    const int64_t taken = least +
                          (spare > 0 ? static_cast<int64_t>(random.index(static_cast<std::size_t>(spare + 1)))
                                     : 0);
    const int64_t end = 1 + (groups - left + taken) * group;
    lengths.push_back(end - begin);
    begin = end, left -= taken;
  }
  lengths.push_back(frames - begin);
  return lengths;
}

}  // namespace

int64_t BookScene::frames() const {
  int64_t sum = 0;
  for (const auto& shot : shots) sum += shot.frames;
  return sum;
}

bool book_motion_exists(int noun, int motion) {
  const auto& thing = noun_at(noun);
  return motion != spinning || thing.shape < 0 || world_motion_exists(thing.shape, motion);
}

bool book_held_out(int noun, int motion, int place) {
  const auto& thing = noun_at(noun);
  if (thing.shape >= 0 && motion < static_cast<int>(world_motions().size()))
    return world_held_out({thing.shape, thing.colour, motion});
  uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
  const auto& motion_name = book_motion_names()[static_cast<std::size_t>(motion)];
  const auto& place_name = book_place_names()[static_cast<std::size_t>(place)];
  for (const auto* word : {&thing.name, &motion_name, &place_name}) {
    for (const char letter : *word) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001B3u;
    hash = (hash ^ '|') * 0x100000001B3u;
  }
  return (hash ^ (hash >> 32)) % 10 == 0;
}

BookScene sample_book_scene(WorldRandom& random, WorldSide side, int64_t frames, const BookShares& shares) {
  BookScene scene;
  for (const auto length : sample_cuts(frames, random, shares))
    scene.shots.push_back(
        sample_shot(random, side, length, shares, scene.shots.empty() ? -1 : scene.shots.back().place));
  return scene;
}

}  // namespace t2v
