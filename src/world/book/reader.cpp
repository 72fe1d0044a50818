#include "world/book/reader.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "nn/causal_conv.h"
#include "nn/channel_norm.h"
#include "nn/linear.h"
#include "nn/ops.h"
#include "t2v/error.h"

namespace t2v {

namespace {

constexpr int64_t kDrawings = 64, kShapes = 8, kColours = 8;
constexpr int64_t kRegions = 4;                     // of the frame, on each axis
constexpr int64_t kLeastSide = 8 * (kRegions + 2);  // pixels: a row of the coarser picture for each
constexpr int64_t kDrifts = 2 * 3 * kRegions * kRegions;
constexpr int64_t kPlaced = 7;             // numbers that say where a thing is in a frame
constexpr int64_t kTold = 16, kKept = 32;  // of the scene, of a thing's cells, in the sequence
constexpr int64_t kHidden = 96;
constexpr int64_t kWindow = 5;  // frames that a layer over time sees

int64_t count(const std::vector<std::string>& names) { return static_cast<int64_t>(names.size()); }

Json vocabulary() {
  return {{"nouns", book_noun_names()},
          {"motions", book_motion_names()},
          {"places", book_place_names()},
          {"cameras", book_camera_names()}};
}

// Drift of the picture's regions over all frames: for two blurs, u, v and how much there is to see.
// frames [B, 3, T, H, W] → [B, kDrifts]. Source: Lucas & Kanade 1981.
at::Tensor drifts(const at::Tensor& frames) {
  const at::NoGradGuard no_grad;
  const int64_t clips = frames.size(0), length = frames.size(2);
  if (length < 2) return at::zeros({clips, kDrifts}, frames.options());
  const double unit = std::sqrt(static_cast<double>(frames.size(3) * frames.size(4)));
  const auto each = frames.transpose(1, 2).flatten(0, 1);  // [B·T, 3, H, W]
  std::vector<at::Tensor> found;
  for (const int64_t blur : {4, 8}) {
    const auto small = at::avg_pool2d(each, {blur, blur});
    const auto x = small.view({clips, length, 3, small.size(2), small.size(3)});
    const auto now = x.slice(1, 0, -1), next = x.slice(1, 1);
    const auto middle = (now + next) / 2;
    const auto inner = [](const at::Tensor& y) { return y.slice(3, 1, -1).slice(4, 1, -1); };
    const auto by_x = (middle.slice(4, 2) - middle.slice(4, 0, -2)).slice(3, 1, -1) / 2;
    const auto by_y = (middle.slice(3, 2) - middle.slice(3, 0, -2)).slice(4, 1, -1) / 2;
    const auto by_t = inner(next - now);
    for (const auto& row : at::tensor_split(
             at::stack({by_x * by_x, by_x * by_y, by_y * by_y, by_x * by_t, by_y * by_t}), kRegions, 4))
      for (const auto& region : at::tensor_split(row, kRegions, 5)) {
        const auto sums = region.mean({2, 3, 4, 5});  // [5, B]
        constexpr double least = 3e-4;
        const auto xx = sums[0] + least, xy = sums[1], yy = sums[2] + least, xt = sums[3], yt = sums[4];
        const auto determinant = xx * yy - xy * xy;
        const double scale = 40 * static_cast<double>(blur) / unit;
        found.push_back((xy * yt - yy * xt) / determinant * scale);
        found.push_back((xy * xt - xx * yt) / determinant * scale);
        found.push_back((xx + yy).log() / 4 + 1);
      }
  }
  return at::stack(found, 1);
}

// A layer over time: each frame with those up to two before and after it. x [N, T, in] → [N, T, out].
at::Tensor over_time(const Linear& layer, const at::Tensor& x) {
  constexpr int64_t reach = kWindow / 2;
  const auto none = at::zeros({x.size(0), reach, x.size(2)}, x.options());
  const auto padded = at::cat({none, x, none}, 1);
  std::vector<at::Tensor> taps;
  for (int64_t i = 0; i < kWindow; ++i) taps.push_back(padded.narrow(1, i, x.size(1)));
  return layer(at::cat(taps, 2).flatten(0, 1)).view({x.size(0), x.size(1), -1});
}

}  // namespace

struct BookReader::Network {
  int64_t width, channels;
  FrameConv conv_in, first, down, second, third, nouns;
  ChannelNorm norm_first, norm_down, norm_second, norm_third, norm_out;
  Linear scene, place, camera, told, kept, begin, middle, motion;

  Network(const BookReaderConfig& config, const WeightScope& root)
      : width(config.width),
        channels(3 * config.width),
        conv_in(load_frame_conv(root / "conv_in", 3, width, 8)),
        first(load_frame_conv(root / "first", width, width, 3)),
        down(load_frame_conv(root / "down", width, channels, 3)),
        second(load_frame_conv(root / "second", channels, channels, 3)),
        third(load_frame_conv(root / "third", channels, channels, 3)),
        nouns(load_frame_conv(root / "nouns.proj_out", channels, 1 + kDrawings + kColours + kShapes, 1)),
        norm_first(load_channel_norm(root / "norm_first", width, 2)),
        norm_down(load_channel_norm(root / "norm_down", width, 2)),
        norm_second(load_channel_norm(root / "norm_second", channels, 2)),
        norm_third(load_channel_norm(root / "norm_third", channels, 2)),
        norm_out(load_channel_norm(root / "norm_out", channels, 2)),
        scene(load_linear(root / "scene", channels + kDrifts, kHidden)),
        place(load_linear(root / "place.proj_out", channels, count(book_place_names()))),
        camera(load_linear(root / "camera.proj_out", kHidden, count(book_camera_names()))),
        told(load_linear(root / "told", kHidden, kTold)),
        kept(load_linear(root / "kept", channels, kKept)),
        begin(load_linear(root / "begin", kWindow * (kKept + kPlaced + kTold), kHidden)),
        middle(load_linear(root / "middle", kWindow * kHidden, kHidden)),
        motion(load_linear(root / "motion.proj_out", 2 * kHidden, count(book_motion_names()))) {}

  // [N, 3, H, W] → [N, C, H / 8, W / 8].
  at::Tensor cells(const at::Tensor& frames) const {
    const auto conv = [](const at::Tensor& x, const FrameConv& layer, int64_t stride) {
      return convolve_2d(x, layer.weight, layer.bias, stride, {1, 1});
    };
    auto x = convolve_2d(frames.contiguous(at::MemoryFormat::ChannelsLast), conv_in.weight, conv_in.bias, 4,
                         {2, 2});
    x = x + conv(norm_first.silu(x), first, 1);
    x = conv(norm_down.silu(x), down, 2);
    x = x + conv(norm_second.silu(x), second, 1);
    x = x + conv(norm_third.silu(x), third, 1);
    return norm_out.silu(x);
  }

  // A coloured shape is a colour and a shape. [N, C, h, w] → log probabilities [N, 1 + nouns, h, w].
  at::Tensor name_cells(const at::Tensor& x) const {
    const auto logits = convolve_2d(x, nouns.weight, nouns.bias, 1, {0, 0});
    const auto colours = logits.narrow(1, 1 + kDrawings, kColours).unsqueeze(2);
    const auto shapes = logits.narrow(1, 1 + kDrawings + kColours, kShapes).unsqueeze(1);
    return at::log_softmax(at::cat({logits.narrow(1, 0, 1 + kDrawings), (colours + shapes).flatten(1, 2)}, 1),
                           1);
  }
};

BookReader::BookReader(const BookReaderConfig& config, const WeightScope& weights)
    : network_(std::make_unique<Network>(config, weights)) {}
BookReader::~BookReader() = default;

int64_t reader_frame_step(int64_t frames) { return frames >= 9 ? 2 : 1; }

BookSight BookReader::look(const at::Tensor& frames) const {
  if (std::min(frames.size(3), frames.size(4)) < kLeastSide)
    throw Error(ErrorKind::usage, "frames of " + std::to_string(frames.size(4)) + "x" +
                                      std::to_string(frames.size(3)) + " cannot be read; sides of " +
                                      std::to_string(kLeastSide) + " pixels and more can");
  const int64_t clips = frames.size(0);
  const auto looked = frames.slice(2, 0, frames.size(2), reader_frame_step(frames.size(2)));
  const int64_t length = looked.size(2);
  const auto cells = network_->cells(looked.transpose(1, 2).flatten(0, 1));  // [B·T', C, h, w]
  const auto nouns = network_->name_cells(cells);
  const auto by_clip = [&](const at::Tensor& x) {
    return x.view({clips, length, x.size(1), x.size(2), x.size(3)});
  };
  BookSight sight;
  sight.cells = by_clip(cells.contiguous());
  sight.nouns = by_clip(nouns.contiguous());
  sight.unit = std::sqrt(static_cast<double>(frames.size(3) * frames.size(4)));
  const auto scenery = sight.nouns.select(2, 0).exp().unsqueeze(2);  // [B, T', 1, h, w]
  const auto seen = (sight.cells * scenery).sum({1, 3, 4}) / scenery.sum({1, 3, 4}).clamp_min(1);  // [B, C]
  sight.place = network_->place(seen);
  sight.scene = at::silu(network_->scene(at::cat({seen, drifts(frames)}, 1)));
  sight.camera = network_->camera(sight.scene);
  return sight;
}

at::Tensor BookReader::motions(const BookSight& sight, const at::Tensor& nouns) const {
  const int64_t clips = sight.cells.size(0), length = sight.cells.size(1), things = nouns.size(1);
  const int64_t height = sight.cells.size(3), width = sight.cells.size(4);
  const auto options = sight.cells.options();
  const auto
      index = (nouns + 1).view({clips, 1, things, 1, 1}).expand({clips, length, things, height, width});
  const auto share = sight.nouns.gather(2, index).exp().flatten(3);  // [B, T', S, h·w]
  const auto mass = share.sum(3, /*keepdim=*/true);
  const auto attention = share / (mass + 0.05);
  const auto pooled = at::matmul(attention, sight.cells.flatten(3).transpose(2, 3));  // [B, T', S, C]
  const double cell = static_cast<double>(kReaderCell) / sight.unit;
  const auto from_middle = [&](int64_t n) {
    return (at::arange(n, options) + (0.5 - static_cast<double>(n) / 2)) * cell;
  };
  const auto x = from_middle(width).expand({height, width}).flatten();
  const auto y = from_middle(height).unsqueeze(1).expand({height, width}).flatten();
  const auto mean = [&](const at::Tensor& value) { return (attention * value).sum(3); };  // [B, T', S]
  const auto mean_x = mean(x), mean_y = mean(y);
  const auto placed = at::stack({4 * mean_x, 4 * mean_y, 4 * mass.squeeze(3).sqrt() * cell, share.amax(3),
                                 40 * (mean(x * x) - mean_x * mean_x), 40 * (mean(y * y) - mean_y * mean_y),
                                 40 * (mean(x * y) - mean_x * mean_y)},
                                3);  // [B, T', S, kPlaced]
  const auto kept = network_->kept(pooled.flatten(0, 2)).view({clips, length, things, -1});
  const auto
      told = network_->told(sight.scene).view({clips, 1, 1, -1}).expand({clips, length, things, kTold});
  const auto sequence = at::cat({kept, placed, told}, 3).transpose(1, 2).flatten(0, 1);  // [B·S, T', D]
  auto h = at::silu(over_time(network_->begin, sequence));
  h = h + at::silu(over_time(network_->middle, h));
  const auto logits = network_->motion(at::cat({h.mean(1), h.amax(1)}, 1));
  return logits.view({clips, things, -1});
}

Json book_reader_to_json(const BookReaderConfig& config) {
  auto json = vocabulary();
  json["width"] = config.width;
  return json;
}

BookReaderConfig parse_book_reader_config(const Json& config, const std::string& where) {
  const auto known = vocabulary();
  for (const auto& [key, names] : known.items())
    if (json_get<std::vector<std::string>>(config, key, where) != names.get<std::vector<std::string>>())
      throw Error(ErrorKind::bad_input,
                  where + ": its '" + key + "' are others than this version's; train the reader anew");
  return {.width = json_size(config, "width", where, 1024)};
}

std::unique_ptr<BookReader> load_book_reader(const std::filesystem::path& folder, at::Device device) {
  const auto path = folder / "config.json";
  const auto config = parse_book_reader_config(read_json(path), path.string());
  auto weights = Weights::open(folder, "model", device, at::kFloat);
  auto reader = std::make_unique<BookReader>(config, weights.root());
  weights.finish();
  return reader;
}

BookReading read_book(const BookReader& reader, const at::Tensor& frames, double sure) {
  const at::NoGradGuard no_grad;
  const auto sight = reader.look(frames.unsqueeze(0));
  BookReading reading;
  const auto best_of = [&](const at::Tensor& logits, int& index, double& share) {
    const auto [most, at] = at::softmax(logits, -1).max(-1);
    share = most.item<double>();
    index = share >= sure ? static_cast<int>(at.item<int64_t>()) : -1;
  };
  best_of(sight.place[0], reading.place, reading.place_share);
  best_of(sight.camera[0], reading.camera, reading.camera_share);
  // Of each noun the largest share of a cell, in the half of the frames where that is most.
  const auto largest = sight.nouns[0].narrow(1, 1, sight.nouns.size(2) - 1).exp().amax({2, 3});  // [T',
                                                                                                 // nouns]
  const int64_t half = (largest.size(0) + 1) / 2;
  const auto seen = std::get<0>(largest.topk(half, 0)).mean(0);  // [nouns]
  const auto [shares, nouns] = seen.topk(2);
  for (int64_t i = 0; i < 2; ++i) {
    BookReading::Thing thing;
    thing.noun_share = shares[i].item<double>();
    if (thing.noun_share < 0.5) continue;
    thing.noun = static_cast<int>(nouns[i].item<int64_t>());
    best_of(reader.motions(sight, nouns.narrow(0, i, 1).unsqueeze(0))[0][0], thing.motion,
            thing.motion_share);
    reading.things.push_back(thing);
  }
  return reading;
}

}  // namespace t2v
