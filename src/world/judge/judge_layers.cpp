#include "world/judge/judge_layers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "world/world.h"

namespace t2v {

namespace {

using Rgb = std::array<float, 3>;

constexpr float kForeground = 0.1F;   // distance from the background at which a pixel belongs to something
constexpr float kUnexplained = 0.1F;  // distance from the line between background and first colour that
                                      // speaks for a second object
constexpr float kSecondObjectShare = 0.05F;  // of the first object's pixels

Rgb rgb_of(const std::array<uint8_t, 3>& bytes) {
  return {static_cast<float>(bytes[0]) / 255, static_cast<float>(bytes[1]) / 255,
          static_cast<float>(bytes[2]) / 255};
}

Rgb operator-(const Rgb& a, const Rgb& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }
float dot(const Rgb& a, const Rgb& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
float squared(const Rgb& a) { return dot(a, a); }

struct Pixels {
  const float* planes;
  int64_t frames, height, width;
  int64_t count() const { return frames * height * width; }
  Rgb at(int64_t i) const { return {planes[i], planes[i + count()], planes[i + 2 * count()]}; }
};

float median(std::vector<float>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <class Table>
int nearest(const Rgb& colour, int count, Table&& table) {
  int best = 0;
  for (int i = 1; i < count; ++i)
    if (squared(colour - rgb_of(table(i))) < squared(colour - rgb_of(table(best)))) best = i;
  return best;
}

// The background that most pixels of the frames' borders are nearest to, and the median of those pixels: the
// colour as it really is.
std::pair<int, Rgb> find_background(const Pixels& pixels) {
  const auto kinds = static_cast<int>(world_backgrounds().size());
  std::vector<std::array<std::vector<float>, 3>> members(static_cast<std::size_t>(kinds));
  for (int64_t t = 0; t < pixels.frames; ++t)
    for (int64_t y = 0; y < pixels.height; ++y) {
      const bool edge = y == 0 || y == pixels.height - 1;
      for (int64_t x = 0; x < pixels.width; x += edge ? 1 : pixels.width - 1) {
        const auto colour = pixels.at((t * pixels.height + y) * pixels.width + x);
        auto& member = members[static_cast<std::size_t>(nearest(colour, kinds, world_background_rgb))];
        for (std::size_t c = 0; c < 3; ++c) member[c].push_back(colour[c]);
      }
    }
  const auto most = std::max_element(members.begin(), members.end(),
                                     [](const auto& a, const auto& b) { return a[0].size() < b[0].size(); });
  return {static_cast<int>(most - members.begin()),
          {median((*most)[0]), median((*most)[1]), median((*most)[2])}};
}

// A pixel as background + alpha (colour - background): the best alpha, and what is left over.
struct Mixture {
  Rgb direction;
  float length2;
  explicit Mixture(const Rgb& d) : direction(d), length2(squared(d)) {}
  float alpha(const Rgb& offset) const { return std::clamp(dot(offset, direction) / length2, 0.0F, 1.1F); }
  float left_over(const Rgb& offset) const {
    const float a = alpha(offset);
    return squared(
        {offset[0] - a * direction[0], offset[1] - a * direction[1], offset[2] - a * direction[2]});
  }
};

std::vector<Mixture> palette(const Rgb& background) {
  std::vector<Mixture> mixtures;
  for (int c = 0; c < static_cast<int>(world_colours().size()); ++c)
    mixtures.emplace_back(rgb_of(world_colour_rgb(c)) - background);
  return mixtures;
}

// The colour whose mixtures with the background explain the offsets best. A pixel that it does not explain
// counts the same however far off it is, so that two objects do not average to a third colour.
int best_colour(const std::vector<Rgb>& offsets, const std::vector<Mixture>& mixtures) {
  std::vector<double> error;
  for (const auto& mixture : mixtures) {
    error.push_back(0);
    for (const auto& offset : offsets)
      error.back() += std::min(mixture.left_over(offset), 2 * kUnexplained * kUnexplained);
  }
  return static_cast<int>(std::min_element(error.begin(), error.end()) - error.begin());
}

// The colours of the objects: a second one when it explains enough of what the first leaves over.
std::vector<int> find_colours(const std::vector<Rgb>& foreground, const Rgb& background) {
  const auto mixtures = palette(background);
  const int first = best_colour(foreground, mixtures);
  std::vector<Rgb> rest;
  for (const auto& offset : foreground)
    if (mixtures[static_cast<std::size_t>(first)].left_over(offset) > kUnexplained * kUnexplained)
      rest.push_back(offset);
  const int second = best_colour(rest, mixtures);
  const auto& mixture = mixtures[static_cast<std::size_t>(second)];
  const auto solid = std::count_if(rest.begin(), rest.end(), [&](const Rgb& offset) {
    return mixture.alpha(offset) > 0.6F && mixture.left_over(offset) < kUnexplained * kUnexplained;
  });
  const auto explained = static_cast<double>(foreground.size() - rest.size());
  if (second == first || static_cast<double>(solid) < kSecondObjectShare * explained) return {first};
  return {first, second};
}

// The colour as the frames really show it: the mean of the pixels that are most nearly the palette's.
Rgb shown_colour(const std::vector<Rgb>& foreground, const Mixture& mixture) {
  Rgb sum{};
  float count = 0;
  for (const auto& offset : foreground) {
    if (mixture.alpha(offset) < 0.7F || mixture.left_over(offset) > kUnexplained * kUnexplained) continue;
    for (std::size_t c = 0; c < 3; ++c) sum[c] += offset[c];
    ++count;
  }
  if (count == 0) return mixture.direction;
  return {sum[0] / count, sum[1] / count, sum[2] / count};
}

ObjectLayer empty_layer(int colour, const Pixels& pixels) {
  ObjectLayer layer{colour, pixels.frames, pixels.width, pixels.height, {}, {}};
  layer.alpha.assign(static_cast<std::size_t>(pixels.count()), 0.0F);
  layer.weight.assign(static_cast<std::size_t>(pixels.count()), 1.0F);
  return layer;
}

// How much of each colour is in a pixel: of one alone where that explains it, of both where the objects
// overlap.
std::pair<float, float> unmix(const Rgb& offset, const Mixture& first, const Mixture& second) {
  const float left_first = first.left_over(offset), left_second = second.left_over(offset);
  if (std::min(left_first, left_second) < kUnexplained * kUnexplained) {
    if (left_first <= left_second) return {std::min(first.alpha(offset), 1.0F), 0.0F};
    return {0.0F, std::min(second.alpha(offset), 1.0F)};
  }
  const float cross = dot(first.direction, second.direction), p = dot(offset, first.direction),
              q = dot(offset, second.direction);
  const float determinant = first.length2 * second.length2 - cross * cross;
  const float a = (p * second.length2 - q * cross) / determinant,
              b = (q * first.length2 - p * cross) / determinant;
  return {std::clamp(a, 0.0F, 1.0F), std::clamp(b, 0.0F, 1.0F)};
}

// Where an object's soft edge meets the background it can look like the other colour: what lies so close to
// the other object and is not plainly of its own colour is not believed.
void forget_edges_of(const ObjectLayer& other, ObjectLayer& layer) {
  constexpr int64_t reach = 2;
  for (int64_t t = 0; t < layer.frames; ++t)
    for (int64_t y = 0; y < layer.height; ++y)
      for (int64_t x = 0; x < layer.width; ++x) {
        const auto at = [&](int64_t row, int64_t column) {
          return static_cast<std::size_t>((t * layer.height + row) * layer.width + column);
        };
        if (other.alpha[at(y, x)] < 0.6F) continue;
        for (int64_t row = std::max<int64_t>(0, y - reach); row < std::min(layer.height, y + reach + 1);
             ++row)
          for (int64_t column = std::max<int64_t>(0, x - reach);
               column < std::min(layer.width, x + reach + 1); ++column)
            if (layer.alpha[at(row, column)] < 0.9F)
              layer.alpha[at(row, column)] = layer.weight[at(row, column)] = 0;
      }
}

}  // namespace

WorldLayers separate_layers(const at::Tensor& frames) {
  const auto planes = frames.contiguous();
  const Pixels pixels{planes.const_data_ptr<float>(), frames.size(1), frames.size(2), frames.size(3)};
  const auto [background, shown_background] = find_background(pixels);
  std::vector<Rgb> foreground;
  for (int64_t i = 0; i < pixels.count(); ++i) {
    const auto offset = pixels.at(i) - shown_background;
    if (squared(offset) > kForeground * kForeground) foreground.push_back(offset);
  }
  WorldLayers layers{background, {}};
  if (static_cast<int64_t>(foreground.size()) * 400 < pixels.count()) return layers;
  std::vector<Mixture> mixtures;
  for (const int colour : find_colours(foreground, shown_background)) {
    mixtures.emplace_back(
        shown_colour(foreground, palette(shown_background)[static_cast<std::size_t>(colour)]));
    layers.objects.push_back(empty_layer(colour, pixels));
  }
  for (int64_t i = 0; i < pixels.count(); ++i) {
    const auto offset = pixels.at(i) - shown_background;
    const auto at = static_cast<std::size_t>(i);
    if (mixtures.size() == 1) {
      layers.objects[0].alpha[at] = std::min(mixtures[0].alpha(offset), 1.0F);
    } else {
      const auto [a, b] = unmix(offset, mixtures[0], mixtures[1]);
      layers.objects[0].alpha[at] = a, layers.objects[1].alpha[at] = b;
      layers.objects[0].weight[at] = 1 - b, layers.objects[1].weight[at] = 1 - a;
    }
  }
  if (layers.objects.size() == 2) {
    const auto first = layers.objects[0];
    forget_edges_of(layers.objects[1], layers.objects[0]);
    forget_edges_of(first, layers.objects[1]);
  }
  return layers;
}

}  // namespace t2v
