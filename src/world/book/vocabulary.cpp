#include "world/book/vocabulary.h"

#include "world/book/book.h"

namespace t2v {

namespace {

std::vector<BookNoun> make_nouns() {
  using B = BookBody;
  using F = BookFacing;
  std::vector<BookNoun> nouns{
      {"airplane", B::flyer, F::up_right, {blue_sky, sunset, mountains}, {"airplane", "plane", "aeroplane"}},
      {"apple", B::inert, F::none, {meadow}, {"apple", "red apple"}},
      {"balloon", B::drifter, F::none, {blue_sky, meadow, city}, {"balloon", "red balloon"}},
      {"banana", B::inert, F::none, {beach}, {"banana", "ripe banana"}},
      {"bee", B::flyer, F::left, {meadow, green_hills}, {"bee", "honeybee", "bumblebee"}},
      {"birthday cake", B::inert, F::none, {meadow}, {"birthday cake", "cake", "cake with candles"}},
      {"bus", B::wheels, F::left, {road, city}, {"bus", "coach"}},
      {"butterfly", B::flyer, F::none, {meadow, green_hills}, {"butterfly", "orange butterfly"}},
      {"cactus", B::inert, F::none, {desert}, {"cactus", "green cactus"}},
      {"camel", B::walker, F::left, {desert}, {"camel"}},
      {"car", B::wheels, F::left, {road, city}, {"car", "red car", "automobile"}},
      {"carrot", B::inert, F::none, {meadow}, {"carrot"}},
      {"cat", B::walker, F::left, {meadow, city, road}, {"cat", "kitty", "orange cat"}},
      {"chick", B::walker, F::none, {meadow}, {"chick", "baby chick", "yellow chick"}},
      {"cow", B::walker, F::left, {meadow, green_hills}, {"cow"}},
      {"crab", B::crawler, F::none, {beach, under_water}, {"crab", "orange crab"}},
      {"crescent moon", B::drifter, F::none, {starry_night, outer_space}, {"crescent moon", "moon"}},
      {"dog", B::walker, F::none, {meadow, road, city}, {"dog", "puppy"}},
      {"doughnut", B::inert, F::none, {city}, {"doughnut", "donut", "chocolate donut"}},
      {"duck", B::waterfowl, F::left, {sea, meadow, beach}, {"duck", "mallard"}},
      {"elephant", B::walker, F::left, {desert, meadow}, {"elephant", "gray elephant"}},
      {"fire truck", B::wheels, F::left, {road, city}, {"fire truck", "fire engine"}},
      {"fox", B::walker, F::none, {pine_forest, snowy_field}, {"fox", "red fox"}},
      {"frog", B::walker, F::none, {meadow, pine_forest}, {"frog", "green frog"}},
      {"grapes", B::inert, F::none, {green_hills}, {"bunch of grapes"}},
      {"guitar", B::inert, F::none, {beach}, {"guitar", "electric guitar"}},
      {"hamburger", B::inert, F::none, {city}, {"hamburger", "burger"}},
      {"helicopter", B::flyer, F::left, {blue_sky, city, mountains}, {"helicopter", "chopper"}},
      {"horse", B::walker, F::left, {meadow, green_hills}, {"horse", "brown horse"}},
      {"house", B::inert, F::none, {meadow, green_hills, snowy_field}, {"house", "home"}},
      {"ice cream", B::inert, F::none, {beach}, {"ice cream", "ice cream cone"}},
      {"ladybug", B::flyer, F::none, {meadow}, {"ladybug", "ladybird"}},
      {"lion", B::walker, F::none, {desert, meadow}, {"lion"}},
      {"monkey", B::walker, F::left, {pine_forest, beach}, {"monkey"}},
      {"motorcycle", B::wheels, F::left, {road, city}, {"motorcycle", "motorbike"}},
      {"mushroom", B::inert, F::none, {pine_forest}, {"mushroom", "red mushroom", "toadstool"}},
      {"octopus", B::swimmer, F::none, {under_water}, {"octopus"}},
      {"owl", B::flyer, F::none, {starry_night, pine_forest}, {"owl", "brown owl"}},
      {"palm tree", B::inert, F::none, {beach, desert}, {"palm tree", "palm"}},
      {"panda", B::walker, F::none, {pine_forest}, {"panda", "panda bear"}},
      {"penguin", B::waterfowl, F::left, {snowy_field}, {"penguin"}},
      {"pig", B::walker, F::left, {meadow}, {"pig", "pink pig"}},
      {"pine tree", B::inert, F::none, {snowy_field, mountains}, {"pine tree", "fir tree", "evergreen tree"}},
      {"pizza", B::inert, F::none, {city}, {"pizza", "slice of pizza", "pizza slice"}},
      {"rabbit", B::walker, F::left, {meadow, snowy_field}, {"rabbit", "bunny"}},
      {"rocket", B::flyer, F::up_right, {outer_space, starry_night}, {"rocket", "space rocket", "spaceship"}},
      {"rooster", B::walker, F::left, {meadow}, {"rooster", "cockerel"}},
      {"sailboat", B::sail, F::left, {sea}, {"sailboat", "sailing boat", "boat"}},
      {"sheep", B::walker, F::left, {meadow, green_hills}, {"sheep"}},
      {"snail", B::crawler, F::left, {meadow, pine_forest}, {"snail"}},
      {"snake", B::crawler, F::left, {desert, meadow}, {"snake", "green snake"}},
      {"snowman", B::inert, F::none, {snowy_field}, {"snowman"}},
      {"soccer ball", B::ball, F::none, {meadow, road}, {"soccer ball", "football"}},
      {"steam train", B::wheels, F::left, {green_hills, mountains}, {"steam train", "train", "locomotive"}},
      {"strawberry", B::inert, F::none, {meadow}, {"strawberry"}},
      {"sunflower", B::inert, F::none, {meadow, green_hills}, {"sunflower"}},
      {"tiger", B::walker, F::left, {pine_forest, meadow}, {"tiger"}},
      {"tractor", B::wheels, F::left, {meadow, green_hills}, {"tractor", "green tractor"}},
      {"tropical fish", B::swimmer, F::left, {under_water}, {"tropical fish", "fish", "yellow fish"}},
      {"tulip", B::inert, F::none, {meadow}, {"tulip", "pink tulip"}},
      {"turtle", B::crawler, F::left, {beach, under_water, meadow}, {"turtle", "tortoise"}},
      {"umbrella", B::drifter, F::none, {beach, city}, {"umbrella", "purple umbrella"}},
      {"watermelon", B::inert, F::none, {beach}, {"watermelon", "slice of watermelon"}},
      {"whale", B::swimmer, F::left, {sea, under_water}, {"whale", "blue whale"}}};
  for (int colour = 0; colour < static_cast<int>(world_colours().size()); ++colour)
    for (int shape = 0; shape < static_cast<int>(world_shapes().size()); ++shape) {
      const auto name = world_colours()[colour] + " " + world_shapes()[shape];
      nouns.push_back({name, B::inert, F::none, {}, {name}, shape, colour});
    }
  return nouns;
}

std::vector<BookPlace> make_places() {
  using G = BookGround;
  std::vector<BookPlace> places{
      {"meadow",
       G::land,
       0.70,
       0.92,
       {"in a meadow", "on a meadow", "in a green meadow", "in the meadow"},
       {"in a wide green meadow full of bright flowers", "in a sunny flower meadow below white clouds"}},
      {"green hills",
       G::land,
       0.72,
       0.92,
       {"in the green hills", "among green hills", "on rolling green hills"},
       {"among soft green hills that roll away under a yellow sun"}},
      {"pine forest",
       G::land,
       0.74,
       0.92,
       {"in a pine forest", "in a forest", "in the woods", "among pine trees"},
       {"in a quiet forest of tall dark pine trees"}},
      {"snowy field",
       G::land,
       0.72,
       0.92,
       {"on a snowy field", "in the snow", "in a snowy landscape"},
       {"on a wide snowy field under a pale winter sky"}},
      {"desert",
       G::land,
       0.74,
       0.92,
       {"in a desert", "in the desert", "among sand dunes"},
       {"in a hot desert with golden dunes and red rocks far away"}},
      {"beach",
       G::land,
       0.72,
       0.92,
       {"on a beach", "at the beach", "on a sandy beach"},
       {"on a sandy beach beside the blue water"}},
      {"sea",
       G::water,
       0.62,
       0.88,
       {"on the sea", "at sea", "on the ocean", "on the water"},
       {"on the deep blue sea among gentle waves"}},
      {"under water",
       G::deep,
       0.3,
       0.75,
       {"under water", "underwater", "under the sea", "in the deep sea"},
       {"deep under water among seaweed and silver bubbles"}},
      {"road",
       G::land,
       0.72,
       0.90,
       {"on a road", "on the road", "on a country road", "on a street"},
       {"on a gray country road with trees along the side"}},
      {"city",
       G::land,
       0.80,
       0.94,
       {"in a city", "in the city", "in front of city buildings", "in a town"},
       {"in a busy city of tall buildings with many windows"}},
      {"mountains",
       G::land,
       0.78,
       0.93,
       {"in the mountains", "in front of snowy mountains", "in front of the mountains"},
       {"in a green valley in front of high mountains with snow on their tops"}},
      {"blue sky",
       G::air,
       0.3,
       0.7,
       {"in the sky", "in a blue sky with clouds", "in a blue sky", "among the clouds"},
       {"far above in a bright blue sky full of white clouds"}},
      {"starry night",
       G::land,
       0.84,
       0.95,
       {"on a starry night", "under a starry sky", "at night under the stars", "in a starry night"},
       {"on a calm night under a sky full of shining stars"}},
      {"outer space",
       G::space,
       0.3,
       0.7,
       {"in outer space", "in space", "among the stars in space"},
       {"far away in dark outer space with a ringed planet and distant stars"}},
      {"sunset",
       G::land,
       0.78,
       0.93,
       {"at sunset", "in front of a sunset", "in the sunset"},
       {"at the end of the day when the yellow sun sets behind purple hills"}}};
  for (const auto& colour : world_backgrounds())
    places.push_back({colour,
                      G::plain,
                      0.3,
                      0.7,
                      {"on a " + colour + " background", "against a " + colour + " background",
                       "on a plain " + colour + " background"},
                      {"in front of a perfectly plain " + colour + " background"}});
  return places;
}

template <class Table>
std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const auto& each : table) names.push_back(each.name);
  return names;
}

}  // namespace

const std::vector<BookNoun>& book_nouns() {
  static const auto nouns = make_nouns();
  return nouns;
}

const std::vector<BookPlace>& book_places() {
  static const auto places = make_places();
  return places;
}

const std::vector<std::string>& book_noun_names() {
  static const auto names = names_of(book_nouns());
  return names;
}

const std::vector<std::string>& book_place_names() {
  static const auto names = names_of(book_places());
  return names;
}

const std::vector<std::string>& book_motion_names() {
  static const auto names = [] {
    auto all = world_motions();
    for (const char* more : {"growing", "shrinking", "hopping left", "hopping right"}) all.emplace_back(more);
    return all;
  }();
  return names;
}

const std::vector<std::string>& book_camera_names() {
  static const std::vector<std::string> names{"still",     "pans left", "pans right", "pans up",
                                              "pans down", "zooms in",  "zooms out"};
  return names;
}

const std::vector<std::string>& book_weather_names() {
  static const std::vector<std::string> names{"clear", "rain", "snow"};
  return names;
}

const std::vector<std::string>& book_relation_names() {
  static const std::vector<std::string> names{"none", "left of", "right of", "chasing"};
  return names;
}

BookManner book_manner(int noun, int place) {
  using M = BookManner;
  const auto& thing = book_nouns()[static_cast<std::size_t>(noun)];
  const auto ground = book_places()[static_cast<std::size_t>(place)].ground;
  if (thing.shape >= 0) return M::moving;
  const bool land = ground == BookGround::land, plain = ground == BookGround::plain;
  const bool water = ground == BookGround::water || ground == BookGround::deep;
  switch (thing.body) {
    case BookBody::walker:
      return land || plain ? M::walking : water ? M::swimming : M::floating;
    case BookBody::waterfowl:
      if (thing.name == "penguin" && place == snowy_field) return M::sliding;
      return land || plain               ? M::walking
             : water                     ? M::swimming
             : ground == BookGround::air ? M::flying
                                         : M::floating;
    case BookBody::flyer:
      return ground == BookGround::deep ? M::moving : M::flying;
    case BookBody::swimmer:
      return water || plain ? M::swimming : land ? M::sliding : M::floating;
    case BookBody::crawler:
      return land || plain ? M::crawling : water ? M::swimming : M::floating;
    case BookBody::wheels:
      return land || plain ? M::driving : ground == BookGround::deep ? M::moving : M::floating;
    case BookBody::sail:
      return ground == BookGround::water ? M::sailing : land ? M::sliding : plain ? M::sailing : M::floating;
    case BookBody::ball:
      return land || plain ? M::rolling : M::floating;
    case BookBody::drifter:
      return M::floating;
    default:
      return land || plain ? M::sliding : M::floating;
  }
}

const std::vector<BookVerb>& book_verbs(BookManner manner) {
  static const std::vector<std::vector<BookVerb>> verbs{
      {{"moving", "moves"}, {"going", "goes"}, {"traveling", "travels"}},
      {{"walking", "walks"}, {"strolling", "strolls"}, {"wandering", "wanders"}},
      {{"driving", "drives"}, {"rolling", "rolls"}},
      {{"flying", "flies"}, {"gliding", "glides"}},
      {{"swimming", "swims"}},
      {{"crawling", "crawls"}, {"creeping", "creeps"}},
      {{"sailing", "sails"}},
      {{"rolling", "rolls"}},
      {{"floating", "floats"}, {"drifting", "drifts"}},
      {{"sliding", "slides"}, {"gliding", "glides"}}};
  return verbs[static_cast<std::size_t>(manner)];
}

const std::vector<std::string>& book_directions(bool left) {
  static const std::vector<std::string> lefts{"left", "to the left", "from right to left",
                                              "towards the left"};
  static const std::vector<std::string> rights{"right", "to the right", "from left to right",
                                               "towards the right"};
  return left ? lefts : rights;
}

const std::vector<BookVerb>& book_motion_verbs(int motion) {
  static const std::vector<std::vector<BookVerb>> verbs{
      {},
      {},
      {{"moving up", "moves up"}, {"rising", "rises"}, {"going up", "goes up"}},
      {{"moving down", "moves down"}, {"falling", "falls"}, {"going down", "goes down"}},
      {{"bouncing", "bounces"}, {"bouncing up and down", "bounces up and down"}},
      {{"spinning", "spins"},
       {"rotating", "rotates"},
       {"turning around and around", "turns around and around"}},
      {{"pulsing", "pulses"}, {"growing and shrinking", "grows and shrinks"}},
      {{"circling", "circles"}, {"moving in a circle", "moves in a circle"}},
      {{"swaying", "sways"}, {"moving from side to side", "moves from side to side"}},
      {{"standing still", "stands still"}, {"not moving", "does not move"}, {"resting", "rests"}},
      {{"growing", "grows"}, {"getting bigger", "gets bigger"}, {"growing larger", "grows larger"}},
      {{"shrinking", "shrinks"}, {"getting smaller", "gets smaller"}},
      {{"hopping left", "hops left"},
       {"hopping to the left", "hops to the left"},
       {"jumping to the left", "jumps to the left"}},
      {{"hopping right", "hops right"},
       {"hopping to the right", "hops to the right"},
       {"jumping to the right", "jumps to the right"}}};
  return verbs[static_cast<std::size_t>(motion)];
}

}  // namespace t2v
