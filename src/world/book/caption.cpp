// What people might write for a scene.
#include <cctype>

#include "world/book/book.h"
#include "world/book/vocabulary.h"

namespace t2v {

namespace {

using Words = std::vector<std::string>;

const std::string& choose(const Words& list, WorldRandom& random) { return list[random.index(list.size())]; }
bool chance(double share, WorldRandom& random) { return random.uniform() < share; }

std::string with_article(const std::string& noun, WorldRandom& random) {
  if (chance(0.1, random)) return "the " + noun;
  const bool vowel = std::string("aeiou").find(noun.front()) != std::string::npos;
  return (vowel ? "an " : "a ") + noun;
}

std::string capitalised(std::string text) {
  text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  return text;
}

// "a small brown horse"
std::string noun_phrase(const BookThing& thing, const std::string& adjective, WorldRandom& random) {
  static const std::vector<Words> sizes{{"small", "little", "tiny"}, {}, {"large", "big", "huge"}};
  const auto& noun = book_nouns()[static_cast<std::size_t>(thing.noun)];
  const auto& word = chance(0.6, random) ? noun.words.front() : choose(noun.words, random);
  const auto& size = sizes[static_cast<std::size_t>(thing.size)];
  std::string words = adjective;
  if (!size.empty())
    words += (words.empty() ? "" : " ") + (chance(0.5, random) ? size.front() : choose(size, random));
  return with_article(words + (words.empty() ? "" : " ") + word, random);
}

// "walking to the left", or "walks to the left"
std::string verb_phrase(const BookThing& thing, int place, bool finite, WorldRandom& random) {
  const auto form = [&](const BookVerb& verb) { return finite ? verb.finite : verb.ing; };
  if (thing.motion != moving_left && thing.motion != moving_right) {
    const auto& verbs = book_motion_verbs(thing.motion);
    return form(verbs[random.index(verbs.size())]);
  }
  const bool own = chance(0.7, random);
  const auto& verbs = book_verbs(own ? book_manner(thing.noun, place) : BookManner::moving);
  const auto verb = form(verbs[random.index(verbs.size())]);
  return verb + " " + choose(book_directions(thing.motion == moving_left), random);
}

// The things and what they do.
std::string action(const BookShot& shot, bool finite, const std::string& adjective, WorldRandom& random) {
  const auto& things = shot.things;
  const auto noun = [&](std::size_t i) { return noun_phrase(things[i], i == 0 ? adjective : "", random); };
  // One call that draws by chance in each statement: compilers differ in the order within one.
  if (shot.relation == BookRelation::chasing && chance(0.7, random)) {
    const auto chaser = noun(0), chased = noun(1);
    const auto& where = choose(book_directions(things[0].motion == moving_left), random);
    return chaser + (finite ? " chases " : " chasing ") + chased + " " + where;
  }
  std::string text;
  const bool sides = (shot.relation == BookRelation::left_of || shot.relation == BookRelation::right_of) &&
                     chance(0.5, random);
  for (std::size_t i = 0; i < things.size(); ++i) {
    const bool left = (i == 0) == (shot.relation == BookRelation::left_of);
    const auto name = noun(i), verb = verb_phrase(things[i], shot.place, finite, random);
    text += (i == 0 ? "" : " and ") + name + " " + verb +
            (!sides ? ""
             : left ? " on the left"
                    : " on the right");
  }
  return text;
}

std::string place_phrase(const BookShot& shot, bool flowery, WorldRandom& random) {
  const auto& place = book_places()[static_cast<std::size_t>(shot.place)];
  std::string text = choose(flowery ? place.flowery : place.phrases, random);
  static const Words rain{" in the rain", " on a rainy day", " while it rains"},
      snow{" while it snows", " during a snowfall", " in a snowfall"};
  if (shot.weather == BookWeather::rain) text += choose(rain, random);
  if (shot.weather == BookWeather::snow) text += choose(snow, random);
  return text;
}

struct CameraWords {
  Words clauses;    // "the camera pans left"
  Words sentences;  // of their own, and before "as …"
};

const CameraWords& camera_words(BookCamera camera) {
  static const std::vector<CameraWords> words{
      {{"the camera is still", "static camera", "static shot"},
       {"the camera is still", "the camera stays in place"}},
      {{"the camera pans left", "camera panning left", "pan left", "the camera pans to the left"},
       {"the camera pans left", "the camera pans to the left"}},
      {{"the camera pans right", "camera panning right", "pan right", "the camera pans to the right"},
       {"the camera pans right", "the camera pans to the right"}},
      {{"the camera pans up", "camera panning up", "pan up", "the camera tilts up"},
       {"the camera pans up", "the camera tilts up"}},
      {{"the camera pans down", "camera panning down", "pan down", "the camera tilts down"},
       {"the camera pans down", "the camera tilts down"}},
      {{"the camera zooms in", "zooming in", "slow zoom in", "camera zooming in"},
       {"the camera zooms in", "the camera slowly zooms in"}},
      {{"the camera zooms out", "zooming out", "slow zoom out", "camera zooming out"},
       {"the camera zooms out", "the camera slowly zooms out"}}};
  return words[static_cast<std::size_t>(camera)];
}

// Whether the caption has a word about the camera.
bool camera_is_told(const BookShot& shot, WorldRandom& random) {
  return shot.camera != BookCamera::still || (shot.frames > 1 && chance(0.12, random));
}

std::string sentence(const std::string& text) { return capitalised(text) + "."; }

// "a cow walking left in a meadow, the camera pans right", and other orders of the same; fewer of them where
// another shot follows.
std::string phrase_with_ing(const BookShot& shot, bool only_shot, WorldRandom& random) {
  const auto what = action(shot, false, "", random), where = place_phrase(shot, false, random);
  const bool camera = camera_is_told(shot, random);
  const auto& filmed = camera_words(shot.camera).clauses;
  const auto tail = camera ? ", " + choose(filmed, random) : "";
  static const Words openings{"a video of ", "a clip of ", "an animation of ", "a picture-book scene of "};
  switch (only_shot ? random.index(6) : 1 + 2 * random.index(3)) {
    case 0:
      return choose(openings, random) + what + " " + where + tail;
    case 1:
      return where + ", " + what + tail;
    case 2:
      if (camera) return choose(filmed, random) + ": " + what + " " + where;
      return what + ", " + where;
    default:
      return what + " " + where + tail;
  }
}

// "A cow walks to the left in a meadow. The camera pans right."
std::string sentences(const BookShot& shot, WorldRandom& random) {
  const auto what = action(shot, true, "", random), where = place_phrase(shot, false, random);
  const auto& filmed = camera_words(shot.camera).sentences;
  const bool camera = camera_is_told(shot, random);
  const auto whole = chance(0.35, random) ? where + ", " + what : what + " " + where;
  if (!camera) return sentence(whole);
  switch (random.index(3)) {
    case 0:
      return sentence(choose(filmed, random) + " as " + what + " " + where);
    case 1:
      return sentence(whole + " while " + choose(filmed, random));
    default:
      return sentence(whole) + " " + sentence(choose(filmed, random));
  }
}

std::string flowery(const BookShot& shot, WorldRandom& random) {
  static const Words adjectives{"cheerful", "charming", "lovely", "friendly", "beautiful"};
  static const Words endings{"The colors are bright and flat, as in a picture book",
                             "It looks like a page of a children's book", "A simple and friendly drawing",
                             "Everything is drawn in clear shapes and warm colors"};
  const auto what = action(shot, true, choose(adjectives, random), random),
             where = place_phrase(shot, true, random);
  auto text = chance(0.5, random) ? sentence(where + ", " + what) : sentence(what + " " + where);
  if (camera_is_told(shot, random))
    text += " " + sentence(choose(camera_words(shot.camera).sentences, random));
  if (chance(0.7, random)) text += " " + choose(endings, random) + ".";
  return text;
}

// A part of what is seen.
std::string in_short(const BookShot& shot, bool motion, bool place, WorldRandom& random) {
  std::string text;
  if (motion) {
    text = action(shot, false, "", random);
  } else {
    for (const auto& thing : shot.things)
      text += (text.empty() ? "" : " and ") + noun_phrase(thing, "", random);
  }
  return place ? text + " " + choose(book_places()[static_cast<std::size_t>(shot.place)].phrases, random)
               : text;
}

// Puts the shots' captions one after another. `complete`: they are sentences.
std::string join(const Words& shots, bool complete, WorldRandom& random) {
  static const Words between{", then ", ", followed by ", "; cut to ", "; then "};
  const auto& separator = choose(between, random);
  std::string text;
  for (const auto& shot : shots) text += (text.empty() ? "" : complete ? " Cut. " : separator) + shot;
  return text;
}

}  // namespace

BookCaption book_caption(const BookScene& scene, WorldRandom& random) {
  BookCaption caption;
  const double style = random.uniform();
  const bool brief = style<0.1, longer = style> 0.9, whole = style > 0.55;
  if (brief) {
    const double part = random.uniform();
    caption.camera = false;
    caption.motion = part > 0.55 && part < 0.8;
    caption.place = part >= 0.8;
  }
  if (scene.frames() == 1) caption.motion = brief ? false : caption.motion;
  Words shots;
  for (const auto& shot : scene.shots)
    shots.push_back(brief    ? in_short(shot, caption.motion, caption.place, random)
                    : longer ? flowery(shot, random)
                    : whole  ? sentences(shot, random)
                             : phrase_with_ing(shot, scene.shots.size() == 1, random));
  caption.text = join(shots, longer || whole, random);
  if (!whole && !longer && chance(0.25, random)) caption.text = sentence(caption.text);
  return caption;
}

}  // namespace t2v
