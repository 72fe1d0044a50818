#include <cmath>

#include "world/book/book.h"

namespace t2v {

namespace {

double to_tenth(double value) { return std::floor(value * 10 + 0.5) / 10; }

template <class Index>
const std::string& name_of(const std::vector<std::string>& names, Index index) {
  return names[static_cast<std::size_t>(index)];
}

Json thing_to_json(const BookThing& thing, const BookShot& shot, const std::vector<BookPose>& poses) {
  Json track = Json::array();
  for (const auto& pose : poses) track.push_back({to_tenth(pose.x), to_tenth(pose.y), to_tenth(pose.size)});
  return {{"noun", name_of(book_noun_names(), thing.noun)},
          {"motion", name_of(book_motion_names(), thing.motion)},
          {"size", name_of(world_sizes(), thing.size)},
          {"held_out", book_held_out(thing.noun, thing.motion, shot.place)},
          {"track", track}};
}

}  // namespace

Json book_scene_to_json(const BookScene& scene, int64_t width, int64_t height) {
  Json shots = Json::array();
  int64_t first = 0;
  for (const auto& shot : scene.shots) {
    const auto poses = book_poses(shot, width, height);
    Json things = Json::array();
    for (std::size_t i = 0; i < shot.things.size(); ++i)
      things.push_back(thing_to_json(shot.things[i], shot, poses[i]));
    shots.push_back({{"first_frame", first},
                     {"frames", shot.frames},
                     {"place", name_of(book_place_names(), shot.place)},
                     {"camera", name_of(book_camera_names(), shot.camera)},
                     {"weather", name_of(book_weather_names(), shot.weather)},
                     {"relation", name_of(book_relation_names(), shot.relation)},
                     {"things", things}});
    first += shot.frames;
  }
  return {{"shots", shots}};
}

}  // namespace t2v
