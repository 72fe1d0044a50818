#include "world/completion.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <utility>

#include "base/json.h"
#include "pipeline/frames.h"
#include "t2v/error.h"
#include "video/write/encoder.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr int64_t gap = 8;          // frames that are missing in the middle
constexpr int64_t margin = 8;       // pixels around the object that are masked with it
constexpr int64_t few_pixels = 12;  // of the object: where fewer are seen it is nowhere

at::Tensor colour_of(const std::array<uint8_t, 3>& rgb) {  // [3, 1, 1, 1] in [-1, 1]
  return at::tensor({rgb[0], rgb[1], rgb[2]}, at::kFloat).view({3, 1, 1, 1}) / 127.5 - 1;
}

// Pixels that are nearer to the object's colour than to the background's: bool [T, H, W].
at::Tensor object_pixels(const WorldScene& scene, const at::Tensor& frames) {
  const auto far = [&](const std::array<uint8_t, 3>& rgb) {
    return (frames - colour_of(rgb)).square().sum(0);
  };
  return far(world_colour_rgb(scene.objects[0].colour)).lt(far(world_background_rgb(scene.background)));
}

// Frames that are given: begin and end of each piece.
std::vector<std::pair<int64_t, int64_t>> given_frames(Completion task, int64_t frames) {
  const int64_t first_half = frames / 2 / 4 * 4 + 1;      // a beginning has 1 + 4·k frames
  const int64_t before = (frames - gap) / 2 / 4 * 4 + 1;  // of what is missing in the middle
  switch (task) {
    case Completion::image:
      return {{0, 1}};
    case Completion::ends:
      return {{0, 1}, {frames - 1, frames}};
    case Completion::extend:
      return {{0, first_half}};
    case Completion::backward:
      return {{first_half, frames}};
    case Completion::connect:
    case Completion::fill:
      return {{0, before}, {before + gap, frames}};
    case Completion::mask:
      return {{0, frames}};
  }
  throw Error(ErrorKind::internal, "no such completion");
}

// The box that holds the object in every frame, and a margin: bool [H, W].
at::Tensor masked_box(const WorldScene& scene, const at::Tensor& truth) {
  const auto seen = object_pixels(scene, truth).any(0);
  const auto range = [&](const at::Tensor& line) {
    const auto places = line.nonzero();
    if (places.size(0) == 0) return std::pair<int64_t, int64_t>(0, 0);
    return std::pair(std::max<int64_t>(0, places[0].item<int64_t>() - margin),
                     std::min(line.size(0), places[-1].item<int64_t>() + 1 + margin));
  };
  const auto [top, bottom] = range(seen.any(1));
  const auto [left, right] = range(seen.any(0));
  auto box = at::zeros_like(seen);
  box.slice(0, top, bottom).slice(1, left, right).fill_(true);
  return box;
}

// frames [3, T, H, W] as PNG files; the pattern that names them.
std::string write_pictures(const at::Tensor& frames, const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    throw Error(ErrorKind::output, folder.string() + ": cannot be created (" + failed.message() + ")");
  const auto pattern = (folder / "%05d.png").string();
  const auto sink = open_encoder({.path = pattern,
                                  .width = static_cast<int>(frames.size(3)),
                                  .height = static_cast<int>(frames.size(2)),
                                  .fps = to_rational(kWorldFps)});
  for (const auto& frame : to_frames(frames)) sink->write(frame);
  sink->finish();
  return pattern;
}

std::string write_picture(const at::Tensor& frame, const fs::path& folder) {
  write_pictures(frame, folder);
  return (folder / "00000.png").string();
}

at::Tensor bytes_of(const at::Tensor& frames) {
  return ((frames / 2 + 0.5) * 255).round().clamp(0, 255).to(at::kByte);
}

}  // namespace

const std::vector<std::string>& completion_names() {
  static const std::vector<std::string> names = {"image",   "ends", "extend", "backward",
                                                 "connect", "fill", "mask"};
  return names;
}

void give_part(GenerationRequest& request, Completion task, const WorldScene& scene, const at::Tensor& truth,
               const fs::path& folder) {
  const auto frames = truth.size(1);
  const auto given = given_frames(task, frames);
  const auto piece = [&](std::size_t i) { return truth.slice(1, given[i].first, given[i].second); };
  const auto seconds = [](int64_t frame) { return Json(static_cast<double>(frame) / kWorldFps).dump(); };
  request.frames = frames;
  switch (task) {
    case Completion::ends:
      request.last_image = write_picture(piece(1), folder / "last");
      [[fallthrough]];
    case Completion::image:
      request.image = write_picture(piece(0), folder / "first");
      return;
    case Completion::backward:
      request.backward = true;
      [[fallthrough]];
    case Completion::extend:
      request.extend = write_pictures(piece(0), folder / "given");
      request.frames = frames - piece(0).size(1);
      return;
    case Completion::connect:
      request.connect = {write_pictures(piece(0), folder / "before"),
                         write_pictures(piece(1), folder / "after")};
      request.frames = gap;
      return;
    case Completion::fill: {
      auto damaged = truth.clone();
      damaged.slice(1, given[0].second, given[1].first).fill_(0);
      request.fill = write_pictures(damaged, folder / "given");
      request.missing = seconds(given[0].second) + "-" + seconds(given[1].first);
      request.frames = std::nullopt;
      return;
    }
    case Completion::mask: {
      const auto box = masked_box(scene, truth);
      const auto plain = colour_of(world_background_rgb(scene.background));
      request.edit = write_pictures(at::where(box, plain, truth), folder / "given");
      request.mask = write_picture((box.to(at::kFloat) * 2 - 1).expand({3, 1, -1, -1}), folder / "mask");
      return;
    }
  }
}

CompletionResult compare_completion(Completion task, const WorldScene& scene, const at::Tensor& truth,
                                    const at::Tensor& made) {
  const auto frames = truth.size(1);
  auto kept = at::zeros({frames, 1, 1}, at::kBool);
  for (const auto& [begin, end] : given_frames(task, frames)) kept.slice(0, begin, end).fill_(true);
  if (task == Completion::mask) kept = kept.logical_and(masked_box(scene, truth).logical_not());
  CompletionResult result;
  result
      .kept_is_source = bytes_of(made).eq(bytes_of(truth)).logical_or(kept.logical_not()).all().item<bool>();
  const auto is_made = kept.flatten(1).all(1).logical_not();
  const auto wanted = object_pixels(scene, truth), found = object_pixels(scene, made);
  const auto middle = [](const at::Tensor& pixels) {
    const auto places = pixels.nonzero().to(at::kDouble).mean(0);
    return std::pair(places[0].item<double>(), places[1].item<double>());
  };
  double sum = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < frames; ++i) {
    if (!is_made[i].item<bool>() || wanted[i].sum().item<int64_t>() < few_pixels) continue;
    ++count;
    if (found[i].sum().item<int64_t>() < few_pixels) {  // as far off as can be
      sum += std::hypot(static_cast<double>(truth.size(2)), static_cast<double>(truth.size(3)));
      continue;
    }
    const auto [y, x] = middle(wanted[i]);
    const auto [found_y, found_x] = middle(found[i]);
    sum += std::hypot(found_y - y, found_x - x);
  }
  result.position_error = count == 0 ? 0 : sum / static_cast<double>(count);
  return result;
}

}  // namespace t2v
