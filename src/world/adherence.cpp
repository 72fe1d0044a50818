#include "world/adherence.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/atomic_file.h"
#include "pipeline/components.h"
#include "pipeline/run/reporter.h"
#include "t2v/error.h"
#include "world/asked_clips.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

int64_t frame_at(double seconds) { return std::llround(seconds * kWorldFps); }

struct WorldTask {
  WorldScene scene;
  std::string caption;
  PixelSize size;
  uint64_t seed = 0;
};

bool is_wanted(const WorldScene& scene, const std::vector<int>& motions) {
  return motions.empty() || std::all_of(scene.objects.begin(), scene.objects.end(), [&](const auto& object) {
           return std::find(motions.begin(), motions.end(), object.motion) != motions.end();
         });
}

std::vector<WorldTask> make_tasks(const AdherenceOptions& options) {
  std::vector<WorldTask> tasks;
  for (int64_t i = 0; i < options.prompts; ++i) {
    WorldRandom random(options.seed, static_cast<uint64_t>(i));
    WorldTask task;
    do {
      task.scene = sample_world_scene(random, options.side,
                                      {.two_objects = static_cast<double>(options.objects - 1)});
    } while (!is_wanted(task.scene, options.motions));
    task.caption = world_caption(task.scene, random);
    task.size = options.sizes[static_cast<std::size_t>(i) % options.sizes.size()];
    task.seed = random.next() >> 1;
    tasks.push_back(std::move(task));
  }
  return tasks;
}

// What the world shows.
at::Tensor picture_of(const WorldTask& task, const AdherenceOptions& options) {
  return render_world(task.scene, options.frames, task.size.width, task.size.height);
}

// A folder that is gone when this is.
class ScratchFolder {
 public:
  ScratchFolder() {
    auto pattern = (fs::temp_directory_path() / "t2v-eval-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      throw Error(ErrorKind::output, pattern + ": cannot be created (" + std::strerror(errno) + ")");
    path = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  fs::path path;
};

// t2v generate's plan for a clip.
GenerationPlan plan_clip(Planner& planner, const WorldTask& task, const AdherenceOptions& options,
                         const fs::path& given) {
  const AskedClip clip{task.caption, task.size, options.frames, task.seed};
  auto request = request_for(options.request, clip);
  if (options.completion)
    give_part(request, *options.completion, task.scene, picture_of(task, options), given);
  return plan_asked_clip(planner, request, clip);
}

// The scenes' own pictures, or those as an autoencoder gives them back.
void render_clips(const std::vector<WorldTask>& tasks, const AdherenceOptions& options, Observer& observer,
                  const ClipReceiver& made) {
  const at::NoGradGuard no_grad;
  const bool through_autoencoder = options.source == AdherenceSource::autoencoder;
  const auto device = parse_device(options.request.device.value_or("auto"));
  std::unique_ptr<VideoVae> vae;
  if (through_autoencoder) {
    const auto folder = open_model_folder(find_model(options.request.model.value_or(kDefaultModel)));
    require_world_fps(folder);
    vae = load_vae(*open_model(folder), {device});
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    observer.check_cancelled();
    auto clip = picture_of(tasks[i], options);
    if (vae) clip = vae->decode(vae->encode(clip.to(device)).mean).cpu();
    made(i, clip);
  }
}

void count(AdherenceReport& report, JudgedClip clip) {
  report.background += clip.background, report.count += clip.count, report.colour += clip.colour,
      report.shape += clip.shape;
  report.motion += clip.motion, report.object_size += clip.object_size, report.all_four += clip.all_four();
  for (const auto& object : clip.scene.objects) {
    const auto seen = find_object(clip.scene, clip.judged, object);
    const auto column = [](int index, std::size_t none) {
      return index < 0 ? none : static_cast<std::size_t>(index);
    };
    auto& shapes = report.shapes[static_cast<std::size_t>(object.shape)];
    auto& motions = report.motions[static_cast<std::size_t>(object.motion)];
    ++shapes[column(seen ? seen->shape : -1, shapes.size() - 1)];
    ++motions[column(seen ? seen->motion : -1, motions.size() - 1)];
  }
  report.clips.push_back(std::move(clip));
}

Json object_to_json(int size, int colour, int shape, int motion) {
  const auto name = [](const std::vector<std::string>& names, int index) {
    return index < 0 ? Json() : Json(names[static_cast<std::size_t>(index)]);
  };
  return {{"size", name(world_sizes(), size)},
          {"colour", name(world_colours(), colour)},
          {"shape", name(world_shapes(), shape)},
          {"motion", name(world_motions(), motion)}};
}

template <std::size_t rows, std::size_t columns>
Json confusion_to_json(const std::array<std::array<int64_t, columns>, rows>& table,
                       const std::vector<std::string>& names) {
  Json json = Json::object();
  for (std::size_t asked = 0; asked < rows; ++asked)
    for (std::size_t seen = 0; seen < columns; ++seen)
      if (table[asked][seen] > 0)
        json[names[asked]][seen < names.size() ? names[seen] : "nothing"] = table[asked][seen];
  return json;
}

}  // namespace

std::optional<JudgedObject> find_object(const WorldScene& scene, const JudgedScene& judged,
                                        const WorldObject& object) {
  if (scene.objects.size() == 1 && !judged.objects.empty()) return judged.objects.front();
  for (const auto& seen : judged.objects)
    if (seen.colour == object.colour) return seen;
  return std::nullopt;
}

double plain_background_error(const at::Tensor& frames, int background) {
  const auto rgb = world_background_rgb(background);
  const auto plain = at::tensor({rgb[0], rgb[1], rgb[2]}, at::kFloat).view({3, 1, 1, 1});
  const auto off = ((frames.clamp(-1, 1) + 1) * 127.5 - plain).abs().amax(0);        // [T, H, W]
  const auto other = (off > 60).to(at::kFloat).unsqueeze(1);                         // [T, 1, H, W]
  const auto near = at::max_pool2d(other, {17, 17}, {1, 1}, {8, 8}).squeeze(1) > 0;  // [T, H, W]
  const auto rest = std::get<0>(off.masked_select(near.logical_not()).sort());
  return rest.numel() == 0 ? 255.0 : rest[(rest.numel() - 1) * 99 / 100].item<double>();
}

double closing_distance(const at::Tensor& frames) {
  if (frames.size(1) < 2) return 0;
  const auto steps = (frames.slice(1, 1) - frames.slice(1, 0, -1)).abs().mean(at::IntArrayRef{0, 2, 3});
  const double step = steps.median().item<double>();
  return step == 0 ? 0 : (frames.select(1, 0) - frames.select(1, -1)).abs().mean().item<double>() / step;
}

namespace {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

double AdherenceReport::background_error() const {
  std::vector<double> errors;
  for (const auto& clip : clips) errors.push_back(clip.background_error);
  return median(std::move(errors));
}

double AdherenceReport::closing() const {
  std::vector<double> distances;
  for (const auto& clip : clips) distances.push_back(clip.closing);
  return median(std::move(distances));
}

double AdherenceReport::position_error(double share) const {
  std::vector<double> errors;
  for (const auto& clip : clips) errors.push_back(clip.completion.value().position_error);
  std::sort(errors.begin(), errors.end());
  return errors[std::min(errors.size() - 1,
                         static_cast<std::size_t>(share * static_cast<double>(errors.size())))];
}

double AdherenceReport::kept_share() const {
  return share(std::count_if(clips.begin(), clips.end(),
                             [](const auto& clip) { return clip.completion.value().kept_is_source; }));
}

JudgedClip judge_clip(const WorldScene& scene, const JudgedScene& judged) {
  JudgedClip clip;
  clip.scene = scene;
  clip.judged = judged;
  clip.background = judged.background == scene.background;
  clip.count = judged.objects.size() == scene.objects.size();
  clip.colour = clip.shape = clip.motion = clip.object_size = true;
  for (const auto& object : scene.objects) {
    const auto seen = find_object(scene, judged, object);
    clip.colour = clip.colour && seen && seen->colour == object.colour;
    clip.shape = clip.shape && seen && seen->shape == object.shape;
    clip.motion = clip.motion && seen && seen->motion == object.motion;
    clip.object_size = clip.object_size && seen && seen->size == object.size;
  }
  return clip;
}

void check_adherence(const AdherenceOptions& options) {
  const auto refuse = [](const std::string& what) { throw Error(ErrorKind::usage, what); };
  if (options.prompts < 1 || options.prompts > 100'000)
    refuse("prompts should be between 1 and 100000, found " + std::to_string(options.prompts));
  if (options.objects != 1 && options.objects != 2)
    refuse("objects should be 1 or 2, found " + std::to_string(options.objects));
  if (options.frames < 1 || options.frames > 1000)
    refuse("frames should be between 1 and 1000, found " + std::to_string(options.frames));
  if (options.completion && (options.objects != 1 || options.frames < 25 || options.frames % 4 != 1 ||
                             options.source != AdherenceSource::model || !options.parts.empty()))
    refuse("a task is judged on whole clips of one object that a model made, of 25 or more frames, 1 + 4·k");
  if (options.sizes.empty()) refuse("judging needs a frame size, and at least one clip a forward pass");
  for (const auto& [from, to] : options.parts)
    if (!(from >= 0 && from < to && frame_at(to) <= options.frames))
      refuse("a part from " + Json(from).dump() + " s to " + Json(to).dump() +
             " s does not lie in a clip of " + std::to_string(options.frames) + " frames, " +
             Json(static_cast<double>(options.frames) / kWorldFps).dump() + " s");
  for (const auto& size : options.sizes)
    if (std::min(size.width, size.height) < 32 || std::max(size.width, size.height) > 4096)
      refuse("frames of " + std::to_string(size.width) + "x" + std::to_string(size.height) +
             " cannot be judged; sides of 32 to 4096 pixels can");
}

std::vector<AdherenceReport> judge_model(const AdherenceOptions& options, Observer& observer) {
  check_adherence(options);
  const auto tasks = make_tasks(options);
  std::vector<GenerationPlan> plans;
  std::optional<ScratchFolder> scratch;
  if (options.source == AdherenceSource::model) {
    require_world_fps(open_model_folder(find_model(options.request.model.value_or(kDefaultModel))));
    Planner planner;
    if (options.completion) scratch.emplace();
    for (std::size_t i = 0; i < tasks.size(); ++i)
      plans.push_back(
          plan_clip(planner, tasks[i], options, scratch ? scratch->path / std::to_string(i) : fs::path()));
  }
  std::vector<AdherenceReport> reports;
  for (const auto& part : options.parts) reports.emplace_back().part = part;
  if (reports.empty()) reports.emplace_back().part.to = static_cast<double>(options.frames) / kWorldFps;
  std::vector<std::vector<JudgedClip>> judged(tasks.size());  // the parts of each
  int64_t done = 0;
  SerialObserver voice(observer);  // clips are judged beside denoising
  voice.progress({"judge", 0, options.prompts});
  const auto judge = [&](std::size_t i, const at::Tensor& clip) {
    const auto& task = tasks[i];
    const auto file = options.out.empty() ? "" : clip_file_name(i, options.frames);
    for (const auto& report : reports) {
      const auto& [from, to] = report.part;
      const auto frames = clip.slice(1, frame_at(from), frame_at(to));
      auto& part = judged[i].emplace_back(judge_clip(task.scene, judge_world(frames)));
      part.background_error = plain_background_error(frames, task.scene.background);
      part.closing = closing_distance(frames);
      if (options.completion)
        part.completion = compare_completion(*options.completion, task.scene, picture_of(task, options),
                                             clip);
      part.caption = task.caption;
      part.size = task.size;
      part.file = file;
    }
    if (!options.out.empty()) keep_clip(clip, task.caption, options.out / file);
    voice.progress({"judge", ++done, options.prompts});
  };
  WithoutSteps generating(voice);
  if (options.source == AdherenceSource::model)
    generate_asked_clips(plans, generating, judge);
  else
    render_clips(tasks, options, generating, judge);
  std::string lines;
  for (auto& parts : judged)
    for (std::size_t part = 0; part < parts.size(); ++part) {
      auto line = clip_to_json(parts[part]);
      if (!options.parts.empty()) line["part"] = {reports[part].part.from, reports[part].part.to};
      lines += line.dump() + "\n";
      count(reports[part], std::move(parts[part]));
    }
  if (!plans.empty())
    for (auto& report : reports) report.plan = plans.front();
  if (!options.out.empty()) write_file_atomically(options.out / "judged.jsonl", lines);
  return reports;
}

Json clip_to_json(const JudgedClip& clip) {
  Json asked = Json::array(), seen = Json::array();
  for (const auto& object : clip.scene.objects)
    asked.push_back(object_to_json(object.size, object.colour, object.shape, object.motion));
  for (const auto& object : clip.judged.objects) {
    seen.push_back(object_to_json(object.size, object.colour, object.shape, object.motion));
    seen.back()["misfit"] = object.misfit;
  }
  Json json = {{"prompt", clip.caption},
               {"width", clip.size.width},
               {"height", clip.size.height},
               {"asked",
                {{"background", world_backgrounds()[static_cast<std::size_t>(clip.scene.background)]},
                 {"objects", asked}}},
               {"seen",
                {{"background", world_backgrounds()[static_cast<std::size_t>(clip.judged.background)]},
                 {"objects", seen}}},
               {"right",
                {{"background", clip.background},
                 {"count", clip.count},
                 {"colour", clip.colour},
                 {"shape", clip.shape},
                 {"motion", clip.motion},
                 {"size", clip.object_size},
                 {"all_four", clip.all_four()}}},
               {"background_error", clip.background_error},
               {"closing", clip.closing}};
  if (clip.completion)
    json["completion"] = {{"position_error", clip.completion->position_error},
                          {"kept", clip.completion->kept_is_source}};
  if (!clip.file.empty()) json["file_name"] = clip.file;
  return json;
}

Json report_to_json(const AdherenceReport& report, const AdherenceOptions& options) {
  Json json = {{"prompts", report.clips.size()},
               {"objects", options.objects},
               {"side", options.side == WorldSide::held_out   ? "held-out"
                        : options.side == WorldSide::training ? "training"
                                                              : "any"},
               {"seed", options.seed},
               {"frames", options.frames},
               {"from", report.part.from},
               {"to", report.part.to},
               {"background_error", report.background_error()},
               {"closing", report.closing()},
               {"source", options.source == AdherenceSource::model         ? "model"
                          : options.source == AdherenceSource::autoencoder ? "autoencoder"
                                                                           : "ground truth"},
               {"right",
                {{"background", report.share(report.background)},
                 {"count", report.share(report.count)},
                 {"colour", report.share(report.colour)},
                 {"shape", report.share(report.shape)},
                 {"motion", report.share(report.motion)},
                 {"size", report.share(report.object_size)},
                 {"all_four", report.share(report.all_four)}}},
               {"shapes", confusion_to_json(report.shapes, world_shapes())},
               {"motions", confusion_to_json(report.motions, world_motions())}};
  for (const auto& size : options.sizes) json["sizes"].push_back({size.width, size.height});
  if (options.completion)
    json["completion"] = {{"task", completion_names()[static_cast<std::size_t>(*options.completion)]},
                          {"position_error_median", report.position_error(0.5)},
                          {"position_error_90", report.position_error(0.9)},
                          {"kept", report.kept_share()}};
  if (report.plan)
    json["sampling"] = {{"scheduler", report.plan->scheduler},
                        {"steps", report.plan->steps},
                        {"guidance_scale", report.plan->guidance_scale},
                        {"guidance_rescale", report.plan->guidance_rescale},
                        {"window", report.plan->window},
                        {"overlap", report.plan->overlap},
                        {"context_noise", report.plan->context_noise}};
  return json;
}

}  // namespace t2v
