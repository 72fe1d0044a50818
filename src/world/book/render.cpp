#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "world/book/arithmetic.h"
#include "world/book/camera.h"
#include "world/book/sprites.h"
#include "world/book/vocabulary.h"

namespace t2v {

namespace {

// A clip's pixels: three planes of frames.
struct Clip {
  float* pixels;
  int64_t frames, width, height;
  Canvas frame(int64_t index) const {
    return {pixels + index * width * height, static_cast<int>(width), static_cast<int>(height),
            frames * width * height};
  }
};

constexpr double kTooNear = 0.19;  // of 1: how far a thing's rim must be from what is behind it

double distance(const BookColour& a, const BookColour& b) {  // 0 … 1, as [-1, 1] is two wide
  const double red = static_cast<double>(a.red - b.red), green = static_cast<double>(a.green - b.green),
               blue = static_cast<double>(a.blue - b.blue);
  return std::sqrt((red * red + green * green + blue * blue) / 3) / 2;
}

// A line around a thing of whose rim a third can hardly be told from the scenery, in white or dark, whichever
// is farther from it. Looks at the shot's first, middle and last frame, before things are drawn.
std::optional<BookOutline> outline_of(const BookThing& thing, const std::vector<BookPose>& poses,
                                      const Clip& clip, int64_t first) {
  int64_t seen = 0, near = 0;
  double from_white = 0, from_dark = 0;
  constexpr auto white = book_rgb(255, 255, 255), dark = book_rgb(44, 44, 60);
  const auto last = static_cast<int64_t>(poses.size()) - 1;
  for (const int64_t index : {int64_t{0}, last / 2, last}) {
    const auto& pose = poses[static_cast<std::size_t>(index)];
    const auto canvas = clip.frame(first + index);
    const double cosine = book_cos_turns(pose.angle), sine = book_sin_turns(pose.angle);
    for (const auto& point : book_rim(thing.noun)) {
      const double u = (pose.mirrored ? -1.0 : 1.0) * static_cast<double>(point.x) * pose.size / 2,
                   v = static_cast<double>(point.y) * pose.size / 2;
      const auto x = static_cast<int64_t>(std::floor(pose.x + u * cosine - v * sine)),
                 y = static_cast<int64_t>(std::floor(pose.y + u * sine + v * cosine));
      if (x < 0 || x >= clip.width || y < 0 || y >= clip.height) continue;
      const auto at = [&](int channel) { return canvas.row(channel, static_cast<int>(y))[x]; };
      const BookColour behind{at(0), at(1), at(2)};
      ++seen;
      near += distance(point.colour, behind) < kTooNear;
      from_white += distance(white, behind);
      from_dark += distance(dark, behind);
    }
  }
  if (near * 3 <= seen) return std::nullopt;
  const double width = std::clamp(std::sqrt(static_cast<double>(clip.width * clip.height)) / 80, 1.0, 3.0);
  return BookOutline{from_white >= from_dark ? white : dark, width};
}

// Rain and snow fall through the frame and begin again above it.
void draw_weather(const BookShot& shot, const BookView& view, const Canvas& frame) {
  Canvas canvas = frame;
  const auto tall = static_cast<double>(view.height), unit = view.unit();
  const bool rain = shot.weather == BookWeather::rain;
  const int count = static_cast<int>((rain ? 60 : 50) * view.width / unit * tall / unit);
  for (int i = 0; i < count; ++i) {
    const auto random = [&](uint64_t k) {
      const uint64_t hash = book_mix(shot.seed ^ book_mix(static_cast<uint64_t>(i) * 8 + k));
      return static_cast<double>(hash >> 11) * 0x1p-53;
    };
    const double speed = (rain ? 1.5 : 0.22) * (0.8 + 0.4 * random(0)) * unit, way = tall * 1.2;
    const double fallen = random(1) * way + speed * view.seconds;
    const double y = fallen - std::floor(fallen / way) * way - 0.1 * tall;
    const double drift = rain ? 0 : 0.02 * unit * book_sin_turns(0.4 * view.seconds + random(2));
    const auto px = static_cast<float>(random(3) * view.width + drift), py = static_cast<float>(y);
    const auto u = static_cast<float>(unit);
    if (rain)
      canvas.polygon({{px, py},
                      {px + 0.011F * u, py},
                      {px + 0.003F * u, py + 0.07F * u},
                      {px - 0.008F * u, py + 0.07F * u}},
                     book_rgb(206, 222, 240), 0.75F);
    else
      canvas.ellipse(px, py, u * 0.012F, u * 0.012F, book_rgb(255, 255, 255), 0.95F);
  }
}

// A grey day: everything is nearer to the clouds' colour.
void dim(Canvas& canvas, BookColour colour, float share) {
  canvas.rectangle(-1, -1, static_cast<float>(canvas.width()) + 1, static_cast<float>(canvas.height()) + 1,
                   colour, share);
}

void render_shot(const BookShot& shot, const Clip& clip, int64_t first) {
  const auto poses = book_poses(shot, clip.width, clip.height);
  const bool plain = shot.place >= first_plain;
  for (int64_t i = 0; i < shot.frames; ++i) {
    auto canvas = clip.frame(first + i);
    const auto view = book_view(shot, i, clip.width, clip.height);
    draw_scenery(shot.place, shot.seed, view, canvas);
    if (!plain && shot.weather != BookWeather::clear)
      dim(canvas, shot.weather == BookWeather::rain ? book_rgb(96, 110, 130) : book_rgb(200, 210, 224), 0.3F);
  }
  std::vector<std::optional<BookOutline>> outlines;
  for (std::size_t k = 0; k < shot.things.size(); ++k)
    outlines.push_back(outline_of(shot.things[k], poses[k], clip, first));
  for (int64_t i = 0; i < shot.frames; ++i) {
    auto canvas = clip.frame(first + i);
    for (std::size_t k = 0; k < shot.things.size(); ++k)
      draw_thing(shot.things[k].noun, poses[k][static_cast<std::size_t>(i)], outlines[k], canvas);
    if (shot.weather != BookWeather::clear)
      draw_weather(shot, book_view(shot, i, clip.width, clip.height), canvas);
  }
}

}  // namespace

at::Tensor render_book(const BookScene& scene, int64_t width, int64_t height) {
  auto video = at::empty({3, scene.frames(), height, width}, at::TensorOptions(at::kFloat));
  const Clip clip{video.data_ptr<float>(), scene.frames(), width, height};
  int64_t first = 0;
  for (const auto& shot : scene.shots) {
    render_shot(shot, clip, first);
    first += shot.frames;
  }
  return video;
}

}  // namespace t2v
