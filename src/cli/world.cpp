// t2v world render: renderings of the procedural worlds as files, with what they show
#include <filesystem>

#include "base/atomic_file.h"
#include "base/json.h"
#include "cli/app.h"
#include "cli/progress.h"
#include "pipeline/frames.h"
#include "pipeline/plan/sizes.h"
#include "video/write/encoder.h"
#include "world/book/book.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

struct WorldRenderOptions {
  int64_t prompts = 10, frames = 17, world = 2;
  uint64_t seed = 0;
  std::string size = "128x128", out, progress = "auto";
  bool held_out = false, json = false;
};

struct Rendering {
  std::string caption;
  Json scene, told;
  at::Tensor frames;  // float32 [3, T, H, W]
};

Json world_scene_to_json(const WorldScene& scene) {
  Json objects = Json::array();
  for (const auto& object : scene.objects)
    objects.push_back({{"size", world_sizes()[object.size]},
                       {"colour", world_colours()[object.colour]},
                       {"shape", world_shapes()[object.shape]},
                       {"motion", world_motions()[object.motion]},
                       {"held_out", world_held_out(object)}});
  return {{"background", world_backgrounds()[scene.background]}, {"objects", objects}};
}

// Stream `index` of the seed: the same whatever else is rendered.
Rendering render(const WorldRenderOptions& options, const PixelSize& size, int64_t index) {
  WorldRandom random(options.seed, static_cast<uint64_t>(index));
  const auto side = options.held_out ? WorldSide::held_out : WorldSide::training;
  if (options.world == 1) {
    const auto scene = sample_world_scene(random, side, {});
    const auto caption = world_caption(scene, random);
    return {caption, world_scene_to_json(scene), Json::array({"motion", "background"}),
            render_world(scene, options.frames, size.width, size.height)};
  }
  const auto scene = sample_book_scene(random, side, options.frames, {});
  const auto caption = book_caption(scene, random);
  Json told = Json::array();
  if (caption.motion) told.push_back("motion");
  if (caption.place) told.push_back("place");
  if (caption.camera) told.push_back("camera");
  return {caption.text, book_scene_to_json(scene, size.width, size.height), told,
          render_book(scene, size.width, size.height)};
}

std::string name_of(int64_t index) {
  const auto digits = std::to_string(index);
  return std::string(5 - std::min<std::size_t>(5, digits.size()), '0') + digits;
}

void write_video(const Rendering& rendering, const fs::path& path) {
  const auto sink = open_encoder({.path = path.string(),
                                  .width = static_cast<int>(rendering.frames.size(3)),
                                  .height = static_cast<int>(rendering.frames.size(2)),
                                  .fps = {static_cast<int>(kWorldFps), 1},
                                  .metadata = {{"title", rendering.caption}}});
  for (const auto& frame : to_frames(rendering.frames)) sink->write(frame);
  sink->finish();
}

void check(const WorldRenderOptions& options, const PixelSize& size) {
  const auto require = [](bool fine, const std::string& expected, int64_t found) {
    if (!fine) throw Error(ErrorKind::usage, expected + ", found " + std::to_string(found));
  };
  require(options.prompts >= 1 && options.prompts <= 1000000, "--prompts should be 1 to 1000000",
          options.prompts);
  require(options.frames >= 1 && options.frames <= 1000, "--frames should be 1 to 1000", options.frames);
  require(options.world == 1 || options.world == 2, "--world should be 1 or 2", options.world);
  for (const int64_t side : {size.width, size.height})
    require(side >= 16 && side <= 2048, "--size should be 16 to 2048 pixels a side", side);
}

void run_world_render(const WorldRenderOptions& options) {
  const auto size = parse_size(options.size, "--size");
  check(options, size);
  if (options.json) require_own_stdout(options.progress, "the JSON of --json");
  const auto observer = make_progress(options.progress);
  const fs::path folder = options.out;
  const auto extension = options.frames == 1 ? ".png" : ".mp4";
  check_name_length(folder / (name_of(options.prompts - 1) + ".json"));
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw Error(ErrorKind::output, options.out + ": cannot be created (" + failed.message() + ")");
  check_output({.path = (folder / (name_of(0) + extension)).string(),
                .width = static_cast<int>(size.width),
                .height = static_cast<int>(size.height),
                .fps = {static_cast<int>(kWorldFps), 1}},
               options.frames);
  Json list = Json::array();
  for (int64_t i = 0; i < options.prompts; ++i) {
    observer->check_cancelled();
    const auto rendering = render(options, size, i);
    const auto video = folder / (name_of(i) + extension);
    write_video(rendering, video);
    const Json json = {{"file_name", video.filename().string()},
                       {"caption", rendering.caption},
                       {"told", rendering.told},
                       {"world", options.world},
                       {"seed", options.seed},
                       {"index", i},
                       {"width", size.width},
                       {"height", size.height},
                       {"frames", options.frames},
                       {"fps", kWorldFps},
                       {"scene", rendering.scene}};
    write_file_atomically(folder / (name_of(i) + ".json"), json.dump(2) + "\n");
    if (options.json)
      list.push_back(json);
    else
      print_line(video.string());
    observer->progress({"render", i + 1, options.prompts});
  }
  if (options.json) print_line(list.dump(2));
}

}  // namespace

void add_world_command(CLI::App& app) {
  auto options = std::make_shared<WorldRenderOptions>();
  auto* world = app.add_subcommand("world", "The procedural worlds that the shipped models are trained on");
  world->require_subcommand(1);
  world->footer("Example:\n  t2v world render --prompts 10 --seed 3 --out truth");
  auto* command = world->add_subcommand(
      "render", "Write renderings as videos, each with its caption and scene as JSON (docs/picture-book.md)");
  command->add_option("--prompts", options->prompts, "How many")->capture_default_str();
  command->add_option("-s,--seed", options->seed, "Of scenes and captions")->capture_default_str();
  command->add_option("-o,--out", options->out, "Folder for 00000.mp4, 00000.json, ...")->required();
  command->add_option("--size", options->size, "WxH")->capture_default_str();
  command->add_option("--frames", options->frames, "Of each clip, 8 a second; one frame is written as PNG")
      ->capture_default_str();
  command->add_flag("--held-out", options->held_out, "Combinations that are never shown in training");
  command->add_option("--world", options->world, "1: coloured shapes; 2: the picture book")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print a JSON list of all of it instead of the files' names");
  command->add_option("--progress", options->progress, progress_help)->capture_default_str();
  command->footer(
      "Examples:\n  t2v world render --prompts 10 --seed 3 --out truth\n"
      "  t2v world render --size 160x96 --frames 33 --held-out --json --out truth");
  command->callback([options] { telling_failure(options->progress, [&] { run_world_render(*options); }); });
}

}  // namespace t2v
