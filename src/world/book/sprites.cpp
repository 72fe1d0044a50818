#include "world/book/sprites.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "t2v/error.h"
#include "video/png.h"
#include "world/book/arithmetic.h"
#include "world/book/vocabulary.h"
#include "world/world.h"

extern "C" const unsigned char t2v_book_images[];  // cmake/T2vImages.cmake

namespace t2v {

namespace {

using Texel = float __attribute__((vector_size(16)));  // red, green, blue times alpha in [-1, 1]; alpha

constexpr int kMargin = 8;  // transparent texels around a drawing: room for an outline

struct Sprite {
  int size = 0;  // texels of a side, margins included
  std::vector<Texel> texels;
  std::vector<float> outside;                               // texels from the drawing's rim; 0 within
  float centre_x = 0, centre_y = 0, width = 0, height = 0;  // of what is seen, texels
  std::vector<BookRimPoint> rim;

  float longer() const { return std::max(width, height); }
  const Texel& at(int x, int y) const { return texels[static_cast<std::size_t>(y * size + x)]; }
  bool opaque(int x, int y) const { return at(x, y)[3] >= 0.5F; }
};

// Of every texel the distance to the nearest opaque one, first along rows and then along columns.
void measure_outside(Sprite& sprite) {
  const int n = sprite.size;
  std::vector<int> along(static_cast<std::size_t>(n * n), 2 * kMargin);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x)
      for (int d = -kMargin; d <= kMargin; ++d)
        if (x + d >= 0 && x + d < n && sprite.opaque(x + d, y)) {
          auto& least = along[static_cast<std::size_t>(y * n + x)];
          least = std::min(least, std::abs(d));
        }
  sprite.outside.assign(static_cast<std::size_t>(n * n), 2 * kMargin);
  for (int y = 0; y < n; ++y)
    for (int x = 0; x < n; ++x)
      for (int d = std::max(-kMargin, -y); d <= std::min(kMargin, n - 1 - y); ++d) {
        const auto across = static_cast<float>(along[static_cast<std::size_t>((y + d) * n + x)]);
        auto& least = sprite.outside[static_cast<std::size_t>(y * n + x)];
        least = std::min(least, std::sqrt(across * across + static_cast<float>(d * d)));
      }
}

void measure_rim(Sprite& sprite) {
  const int n = sprite.size;
  int left = n, right = 0, top = n, bottom = 0;
  std::vector<std::pair<int, int>> rim;
  for (int y = 1; y + 1 < n; ++y)
    for (int x = 1; x + 1 < n; ++x) {
      if (!sprite.opaque(x, y)) continue;
      left = std::min(left, x), right = std::max(right, x + 1);
      top = std::min(top, y), bottom = std::max(bottom, y + 1);
      if (!sprite.opaque(x - 1, y) || !sprite.opaque(x + 1, y) || !sprite.opaque(x, y - 1) ||
          !sprite.opaque(x, y + 1))
        rim.emplace_back(x, y);
    }
  sprite.centre_x = static_cast<float>(left + right) / 2;
  sprite.centre_y = static_cast<float>(top + bottom) / 2;
  sprite.width = static_cast<float>(right - left);
  sprite.height = static_cast<float>(bottom - top);
  const std::size_t step = rim.size() / 64 + 1;
  for (std::size_t i = 0; i < rim.size(); i += step) {
    const auto [x, y] = rim[i];
    const auto& texel = sprite.at(x, y);
    const float half = sprite.longer() / 2;
    sprite.rim.push_back({(static_cast<float>(x) + 0.5F - sprite.centre_x) / half,
                          (static_cast<float>(y) + 0.5F - sprite.centre_y) / half,
                          {texel[0] / texel[3], texel[1] / texel[3], texel[2] / texel[3]}});
  }
}

Sprite make_sprite(const RgbaImage& image) {
  Sprite sprite;
  sprite.size = std::max(image.width, image.height) + 2 * kMargin;
  sprite.texels.assign(static_cast<std::size_t>(sprite.size * sprite.size), Texel{0, 0, 0, 0});
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) {
      const auto* rgba = image.rgba.data() + static_cast<std::ptrdiff_t>(y * image.width + x) * 4;
      const float alpha = static_cast<float>(rgba[3]) / 255;
      Texel texel{0, 0, 0, alpha};
      for (int c = 0; c < 3; ++c) texel[c] = (static_cast<float>(rgba[c]) / 127.5F - 1) * alpha;
      sprite.texels[static_cast<std::size_t>((y + kMargin) * sprite.size + x + kMargin)] = texel;
    }
  measure_outside(sprite);
  measure_rim(sprite);
  return sprite;
}

// The drawing of each noun that has one.
std::vector<Sprite> load_sprites() {
  const auto number = [](std::size_t index) {
    uint32_t value = 0;
    std::memcpy(&value, t2v_book_images + index * sizeof value, sizeof value);
    return static_cast<std::size_t>(value);
  };
  std::vector<Sprite> sprites;
  for (const auto& noun : book_nouns()) {
    if (noun.shape >= 0) break;
    auto file = noun.name;
    std::replace(file.begin(), file.end(), ' ', '-');
    const auto known = sprites.size();
    for (std::size_t i = 0; i < number(0); ++i) {
      if (file != reinterpret_cast<const char*>(t2v_book_images + number(1 + 3 * i))) continue;
      const auto begin = number(2 + 3 * i), end = number(3 + 3 * i);
      sprites.push_back(make_sprite(decode_png(t2v_book_images + begin, end - begin)));
    }
    if (sprites.size() != known + 1)
      throw Error(ErrorKind::internal, "the program holds no drawing '" + file + ".png'");
  }
  return sprites;
}

const std::vector<Sprite>& sprites() {
  static const auto all = load_sprites();
  return all;
}

const BookNoun& noun_at(int noun) { return book_nouns()[static_cast<std::size_t>(noun)]; }
const Sprite& sprite_of(int noun) { return sprites()[static_cast<std::size_t>(noun)]; }

float clamp01(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

// From pixels to a thing's own axes: pixel offsets from its centre, turned back and mirrored back.
struct Turn {
  float cosine, sine, mirror;
  explicit Turn(const BookPose& pose)
      : cosine(static_cast<float>(book_cos_turns(pose.angle))),
        sine(static_cast<float>(book_sin_turns(pose.angle))),
        mirror(pose.mirrored ? -1.0F : 1.0F) {}
  BookPoint back(float dx, float dy) const {
    return {(dx * cosine + dy * sine) * mirror, dy * cosine - dx * sine};
  }
};

struct Pixels {
  int left, right, top, bottom;
};

// The pixels within `reach` of the pose's centre.
Pixels pixels_around(const BookPose& pose, double reach_x, double reach_y, const Canvas& canvas) {
  const auto within = [](double value, int size) {
    return static_cast<int>(std::clamp(value, 0.0, static_cast<double>(size)));
  };
  return {within(std::floor(pose.x - reach_x), canvas.width()),
          within(std::ceil(pose.x + reach_x), canvas.width()),
          within(std::floor(pose.y - reach_y), canvas.height()),
          within(std::ceil(pose.y + reach_y), canvas.height())};
}

// Blends sample(dx, dy), a texel for an offset from the pose's centre in pixels, over the pixels.
template <class Sample>
void blend_pixels(const Pixels& area, const BookPose& pose, Canvas& canvas, const Sample& sample) {
  for (int y = area.top; y < area.bottom; ++y) {
    float* red = canvas.row(0, y);
    float* green = canvas.row(1, y);
    float* blue = canvas.row(2, y);
    const float dy = static_cast<float>(y + 0.5 - pose.y);
    for (int x = area.left; x < area.right; ++x) {
      const Texel over = sample(static_cast<float>(x + 0.5 - pose.x), dy);
      if (over[3] <= 0) continue;
      const float rest = 1 - over[3];
      red[x] = red[x] * rest + over[0];
      green[x] = green[x] * rest + over[1];
      blue[x] = blue[x] * rest + over[2];
    }
  }
}

Texel outline_texel(const BookOutline& outline, float cover) {
  return Texel{outline.colour.red, outline.colour.green, outline.colour.blue, 1} * cover;
}

void draw_shape(const BookNoun& noun, const BookPose& pose, const std::optional<BookOutline>& outline,
                Canvas& canvas) {
  const Turn turn(pose);
  const auto radius = static_cast<float>(pose.size / 1.9);
  const double reach = pose.size * 0.75 + 3 + (outline ? outline->width : 0);
  const auto rgb = world_colour_rgb(noun.colour);
  const auto colour = book_rgb(rgb[0], rgb[1], rgb[2]);
  const auto line = outline ? static_cast<float>(outline->width) : 0.0F;
  blend_pixels(pixels_around(pose, reach, reach, canvas), pose, canvas, [&](float dx, float dy) {
    const auto at = turn.back(dx, dy);
    const float distance = world_shape_distance(noun.shape, at.x / radius, at.y / radius) * radius;
    const float cover = clamp01(0.5F - distance);
    Texel over = Texel{colour.red, colour.green, colour.blue, 1} * cover;
    if (line > 0) over += outline_texel(*outline, clamp01(0.5F - distance + line) * (1 - cover));
    return over;
  });
}

void draw_sprite(const Sprite& sprite, const BookPose& pose, const std::optional<BookOutline>& outline,
                 Canvas& canvas) {
  const Turn turn(pose);
  const float texels = sprite.longer() / static_cast<float>(pose.size);  // a pixel
  const double line = outline ? outline->width + 1 : 1;
  const double half_x = static_cast<double>(sprite.width / texels / 2) + line,
               half_y = static_cast<double>(sprite.height / texels / 2) + line;
  const double cosine = std::abs(static_cast<double>(turn.cosine)),
               sine = std::abs(static_cast<double>(turn.sine));
  const auto area = pixels_around(pose, half_x * cosine + half_y * sine, half_x * sine + half_y * cosine,
                                  canvas);
  // As many samples a pixel as it covers texels, so that small drawings keep their thin lines.
  const int grid = std::clamp(static_cast<int>(std::ceil(texels)), 1, 4);
  const float step = 1 / static_cast<float>(grid), share = step * step;
  const int last = sprite.size - 2;
  blend_pixels(area, pose, canvas, [&](float dx, float dy) {
    Texel sum{0, 0, 0, 0};
    float beyond = 0;
    for (int j = 0; j < grid; ++j)
      for (int i = 0; i < grid; ++i) {
        const auto at = turn.back(dx + (static_cast<float>(i) + 0.5F) * step - 0.5F,
                                  dy + (static_cast<float>(j) + 0.5F) * step - 0.5F);
        const float u = std::clamp(at.x * texels + sprite.centre_x - 0.5F, 0.0F, static_cast<float>(last)),
                    v = std::clamp(at.y * texels + sprite.centre_y - 0.5F, 0.0F, static_cast<float>(last));
        const int x = std::min(static_cast<int>(u), last), y = std::min(static_cast<int>(v), last);
        const float fx = u - static_cast<float>(x), fy = v - static_cast<float>(y);
        const auto* row = &sprite.at(x, y);
        const Texel above = row[0] + (row[1] - row[0]) * fx;
        const Texel below = row[sprite.size] + (row[sprite.size + 1] - row[sprite.size]) * fx;
        sum += above + (below - above) * fy;
        if (outline) {
          const auto* far = sprite.outside.data() + y * sprite.size + x;
          const float high = far[0] + (far[1] - far[0]) * fx;
          const float low = far[sprite.size] + (far[sprite.size + 1] - far[sprite.size]) * fx;
          beyond += high + (low - high) * fy;
        }
      }
    sum *= share;
    if (outline) {
      const float distance = beyond * share / texels;
      const float cover = clamp01(static_cast<float>(outline->width) - distance + 0.5F);
      sum += outline_texel(*outline, cover) * (1 - sum[3]);
    }
    return sum;
  });
}

}  // namespace

const std::vector<BookRimPoint>& book_rim(int noun) {
  const auto& thing = noun_at(noun);
  if (thing.shape < 0) return sprite_of(noun).rim;
  static const auto rims = [] {
    std::vector<std::vector<BookRimPoint>> all;
    for (int colour = 0; colour < static_cast<int>(world_colours().size()); ++colour) {
      const auto rgb = world_colour_rgb(colour);
      auto& rim = all.emplace_back();
      for (int i = 0; i < 16; ++i)
        rim.push_back({static_cast<float>(0.8 * book_cos_turns(i / 16.0)),
                       static_cast<float>(0.8 * book_sin_turns(i / 16.0)), book_rgb(rgb[0], rgb[1], rgb[2])});
    }
    return all;
  }();
  return rims[static_cast<std::size_t>(thing.colour)];
}

BookExtent book_extent(int noun) {
  if (noun_at(noun).shape >= 0) return {};
  const auto& sprite = sprite_of(noun);
  return {static_cast<double>(sprite.width / sprite.longer()),
          static_cast<double>(sprite.height / sprite.longer())};
}

void draw_thing(int noun, const BookPose& pose, const std::optional<BookOutline>& outline, Canvas& canvas) {
  const auto& thing = noun_at(noun);
  if (pose.size <= 0) return;
  if (thing.shape >= 0)
    draw_shape(thing, pose, outline, canvas);
  else
    draw_sprite(sprite_of(noun), pose, outline, canvas);
}

}  // namespace t2v
