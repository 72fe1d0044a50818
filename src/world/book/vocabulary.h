// What there is in the picture book, and the words for it. Internal to this folder, and for its tests.
#pragma once

#include <string>
#include <vector>

namespace t2v {

// How a thing gets about: which verbs and which tracks it has.
enum class BookBody { walker, waterfowl, flyer, swimmer, crawler, wheels, sail, ball, drifter, inert };
enum class BookFacing { none, left, up_right };

// The places of sample_book_scene's first choice are called by index, so here they have names.
enum BookPlaceIndex : int {
  meadow,
  green_hills,
  pine_forest,
  snowy_field,
  desert,
  beach,
  sea,
  under_water,
  road,
  city,
  mountains,
  blue_sky,
  starry_night,
  outer_space,
  sunset,
  first_plain
};

enum BookMotionIndex : int {
  moving_left,
  moving_right,
  moving_up,
  moving_down,
  bouncing,
  spinning,
  pulsing,
  circling,
  swaying,
  standing_still,
  growing,
  shrinking,
  hopping_left,
  hopping_right
};

struct BookNoun {
  std::string name;  // of its file without "-"; "red circle"
  BookBody body = BookBody::inert;
  BookFacing facing = BookFacing::none;
  std::vector<int> at_home{};      // places
  std::vector<std::string> words;  // without article: "hot dog"; the name itself comes first
  int shape = -1, colour = -1;     // of world v1
};

// The drawings in alphabetical order, then 8 x 8 coloured shapes: 64 + colour · 8 + shape.
const std::vector<BookNoun>& book_nouns();

enum class BookGround { land, water, deep, air, space, plain };

struct BookPlace {
  std::string name;
  BookGround ground = BookGround::plain;
  double foot_from = 0, foot_to = 0;  // where things stand, shares of the frame's height
  std::vector<std::string> phrases;   // "in a meadow"
  std::vector<std::string> flowery;   // "in a wide green meadow full of little flowers"
};
const std::vector<BookPlace>& book_places();

// How a thing goes left or right at a place.
enum class BookManner {
  moving,
  walking,
  driving,
  flying,
  swimming,
  crawling,
  sailing,
  rolling,
  floating,
  sliding
};
BookManner book_manner(int noun, int place);

struct BookVerb {
  std::string ing, finite;  // "walking", "walks"
};
// Verbs for going left or right in a manner; those of `moving` fit every thing.
const std::vector<BookVerb>& book_verbs(BookManner manner);
// Where to: "to the left", "from right to left", …
const std::vector<std::string>& book_directions(bool left);
// Whole phrases for every other motion: "spinning", "spins".
const std::vector<BookVerb>& book_motion_verbs(int motion);

}  // namespace t2v
