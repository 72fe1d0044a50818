#include "world/book/evaluate.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "pipeline/run/reporter.h"
#include "world/asked_clips.h"

namespace t2v {

namespace {

const BookReading::Thing* find(const BookReading& read, int noun) {
  for (const auto& thing : read.things)
    if (thing.noun == noun) return &thing;
  return nullptr;
}

Json name_of(const std::vector<std::string>& names, int index) {
  return index < 0 ? Json() : Json(names[static_cast<std::size_t>(index)]);
}

// By what is shown, what was read instead and how often.
using Mistakes = std::map<std::string, std::map<std::string, int64_t>>;
void count_mistake(Mistakes& mistakes, const std::vector<std::string>& names, int shown, int read) {
  if (shown == read) return;
  ++mistakes[names[static_cast<std::size_t>(shown)]]
            [read < 0 ? "not sure" : names[static_cast<std::size_t>(read)]];
}

double psnr(const at::Tensor& found, const at::Tensor& expected) {
  const double error = (found.clamp(-1, 1) - expected).square().mean().item<double>() / 4;  // of a range of 2
  return -10 * std::log10(std::max(error, 1e-12));
}

}  // namespace

ReadClip compare_reading(const BookShot& shot, const BookReading& read) {
  ReadClip clip;
  clip.shot = shot;
  clip.read = read;
  clip.things = read.things.size() == shot.things.size();
  clip.motions = true;
  for (const auto& thing : shot.things) {
    const auto* seen = find(read, thing.noun);
    clip.things = clip.things && seen;
    clip.motions = clip.motions && seen && seen->motion == thing.motion;
  }
  clip.place = read.place == shot.place;
  clip.camera = read.camera == static_cast<int>(shot.camera);
  return clip;
}

namespace {

// A scene of one shot, and what it is asked for with.
struct BookTask {
  BookScene scene;
  BookCaption caption;
  std::array<int64_t, 2> size{};
  uint64_t seed = 0;  // of the noise
};

BookTask task_of(const BookEvaluation& options, int64_t index) {
  WorldRandom random(options.seed, (uint64_t{1} << 42) + static_cast<uint64_t>(index));
  BookTask task;
  task.scene = sample_book_scene(random, options.side, options.frames,
                                 {.drawings = options.drawings, .two_things = options.two_things, .cuts = 0});
  task.caption = book_caption(task.scene, random);
  task.size = options.sizes[static_cast<std::size_t>(index) % options.sizes.size()];
  task.seed = random.next() >> 1;
  return task;
}

ReadClip read_clip(const BookReader& reader, const BookTask& task, const at::Tensor& frames,
                   const BookEvaluation& options) {
  const auto frame_at = [](double seconds) { return std::llround(seconds * kWorldFps); };
  const auto part = frames.slice(1, frame_at(options.from),
                                 options.to ? frame_at(*options.to) : frames.size(1));
  auto clip = compare_reading(task.scene.shots.front(), read_book(reader, part, options.sure));
  clip.caption = task.caption.text;
  clip.size = task.size;
  return clip;
}

void count(BookReport& report, ReadClip clip) {
  report.things += clip.things;
  report.motions += clip.asks_motions && clip.motions;
  report.place += clip.asks_place && clip.place;
  report.camera += clip.asks_camera && clip.camera;
  report.asked_motions += clip.asks_motions, report.asked_place += clip.asks_place;
  report.asked_camera += clip.asks_camera, report.all += clip.all();
  const auto unread = [](const BookReading::Thing& thing) { return thing.motion < 0; };
  report.not_sure += clip.read.things.empty() || clip.read.place < 0 || clip.read.camera < 0 ||
                     std::any_of(clip.read.things.begin(), clip.read.things.end(), unread);
  report.clips.push_back(std::move(clip));
}

}  // namespace

BookReport evaluate_book(const BookReader& reader, at::Device device, const BookEvaluation& options,
                         const std::function<void(int64_t)>& done) {
  const at::NoGradGuard no_grad;
  BookReport report;
  for (int64_t i = 0; i < options.prompts; ++i) {
    const auto task = task_of(options, i);
    const auto rendering = render_book(task.scene, task.size[0], task.size[1]).to(device);
    auto frames = rendering;
    if (options.autoencoder)
      frames = options.autoencoder->decode(options.autoencoder->encode(rendering).mean);
    auto clip = read_clip(reader, task, frames, options);
    if (options.autoencoder) clip.psnr = psnr(frames, rendering);
    count(report, std::move(clip));
    done(i + 1);
  }
  return report;
}

BookReport evaluate_book_model(const BookReader& reader, at::Device device, const BookEvaluation& options,
                               const GenerationRequest& request, const std::filesystem::path& out,
                               Observer& observer) {
  std::vector<BookTask> tasks;
  std::vector<GenerationPlan> plans;
  Planner planner;
  for (int64_t i = 0; i < options.prompts; ++i) {
    const auto& task = tasks.emplace_back(task_of(options, i));
    const AskedClip clip{task.caption.text, {task.size[0], task.size[1]}, options.frames, task.seed};
    plans.push_back(plan_asked_clip(planner, request_for(request, clip), clip));
  }
  std::vector<ReadClip> clips(tasks.size());
  int64_t done = 0;
  SerialObserver voice(observer);  // clips are read beside denoising
  voice.progress({"judge", 0, options.prompts});
  WithoutSteps generating(voice);
  generate_asked_clips(plans, generating, [&](std::size_t i, const at::Tensor& frames) {
    const at::NoGradGuard no_grad;
    auto& clip = clips[i] = read_clip(reader, tasks[i], frames.to(device), options);
    clip.asks_motions = tasks[i].caption.motion;
    clip.asks_place = tasks[i].caption.place;
    clip.asks_camera = tasks[i].caption.camera;
    if (!out.empty()) {
      clip.file = clip_file_name(i, options.frames);
      keep_clip(frames, clip.caption, out / clip.file);
    }
    voice.progress({"judge", ++done, options.prompts});
  });
  BookReport report;
  report.plan = plans.front();
  for (auto& clip : clips) count(report, std::move(clip));
  return report;
}

Json read_clip_to_json(const ReadClip& clip) {
  Json shown = Json::array(), read = Json::array();
  for (const auto& thing : clip.shot.things)
    shown.push_back({{"noun", name_of(book_noun_names(), thing.noun)},
                     {"motion", name_of(book_motion_names(), thing.motion)}});
  for (const auto& thing : clip.read.things)
    read.push_back({{"noun", name_of(book_noun_names(), thing.noun)},
                    {"noun_share", thing.noun_share},
                    {"motion", name_of(book_motion_names(), thing.motion)},
                    {"motion_share", thing.motion_share}});
  Json json = {{"prompt", clip.caption},
               {"width", clip.size[0]},
               {"height", clip.size[1]},
               {"shown",
                {{"things", shown},
                 {"place", name_of(book_place_names(), clip.shot.place)},
                 {"camera", name_of(book_camera_names(), static_cast<int>(clip.shot.camera))}}},
               {"read",
                {{"things", read},
                 {"place", name_of(book_place_names(), clip.read.place)},
                 {"place_share", clip.read.place_share},
                 {"camera", name_of(book_camera_names(), clip.read.camera)},
                 {"camera_share", clip.read.camera_share}}},
               {"right",
                {{"things", clip.things},
                 {"motions", clip.motions},
                 {"place", clip.place},
                 {"camera", clip.camera},
                 {"all", clip.all()}}}};
  for (const auto& [what, asked] :
       {std::pair("motions", clip.asks_motions), std::pair("place", clip.asks_place),
        std::pair("camera", clip.asks_camera)})
    if (!asked) json["right"][what] = nullptr;  // its caption does not tell
  if (clip.psnr > 0) json["psnr"] = clip.psnr;
  if (!clip.file.empty()) json["file_name"] = clip.file;
  return json;
}

Json book_report_to_json(const BookReport& report) {
  Mistakes nouns, motions, places, cameras;
  double decibels = 0;
  for (const auto& clip : report.clips) {
    decibels += clip.psnr;
    if (clip.asks_place) count_mistake(places, book_place_names(), clip.shot.place, clip.read.place);
    if (clip.asks_camera)
      count_mistake(cameras, book_camera_names(), static_cast<int>(clip.shot.camera), clip.read.camera);
    for (const auto& thing : clip.shot.things) {
      if (const auto* seen = find(clip.read, thing.noun)) {
        if (clip.asks_motions) count_mistake(motions, book_motion_names(), thing.motion, seen->motion);
        continue;
      }
      int instead = -1;  // what was read and is not there
      for (const auto& other : clip.read.things)
        if (std::none_of(clip.shot.things.begin(), clip.shot.things.end(),
                         [&](const auto& shown) { return shown.noun == other.noun; }))
          instead = other.noun;
      count_mistake(nouns, book_noun_names(), thing.noun, instead);
    }
  }
  Json json = {
      {"prompts", report.clips.size()},
      {"right",
       {{"things", report.share(report.things)},
        {"motions", report.share(report.motions, report.asked_motions)},
        {"place", report.share(report.place, report.asked_place)},
        {"camera", report.share(report.camera, report.asked_camera)},
        {"all", report.share(report.all)}}},
      {"not_sure", report.share(report.not_sure)},
      {"mistakes", {{"nouns", nouns}, {"motions", motions}, {"places", places}, {"cameras", cameras}}}};
  if (report.plan)
    json["sampling"] = {{"scheduler", report.plan->scheduler},
                        {"steps", report.plan->steps},
                        {"guidance_scale", report.plan->guidance_scale}};
  if (decibels > 0) json["psnr"] = decibels / static_cast<double>(report.clips.size());
  return json;
}

}  // namespace t2v
