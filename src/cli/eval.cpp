// t2v eval: how often a model does what it is asked for
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/atomic_file.h"
#include "cli/app.h"
#include "cli/progress.h"
#include "pipeline/components.h"
#include "schedulers/scheduler_classes.h"
#include "t2v/error.h"
#include "video/write/encoder.h"
#include "world/adherence.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

struct EvalOptions {
  std::string model = kDefaultModel, side = "held-out", progress = "auto", device = "auto", dtype = "auto",
              out, size, task;
  AdherenceOptions adherence;
  std::optional<int64_t> steps, frames, window, overlap, context_noise;
  std::optional<double> guidance_scale, guidance_rescale;
  std::optional<std::string> scheduler;
  std::vector<double> from, to;
  std::vector<std::string> motions;
  bool json = false, ground_truth = false, vae = false, loop = false;
};

std::string percent(const AdherenceReport& report, int64_t count) {
  char text[32];
  std::snprintf(text, sizeof text, "%5.1f%%", 100 * report.share(count));
  return text;
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

// Rows: asked for; columns: seen. Only rows that were asked for.
template <std::size_t rows, std::size_t columns>
void print_confusion(const std::array<std::array<int64_t, columns>, rows>& table,
                     const std::vector<std::string>& names) {
  std::vector<std::string> heads;
  for (const auto& name : names) heads.push_back(name.substr(0, 12));
  heads.emplace_back("nothing");
  std::string line = padded("asked \\ seen", 16);
  for (const auto& head : heads) line.append(1, ' ').append(head);
  print_line("");
  print_line(line);
  for (std::size_t row = 0; row < rows; ++row) {
    if (std::all_of(table[row].begin(), table[row].end(), [](int64_t n) { return n == 0; })) continue;
    line = padded(names[row], 16);
    for (std::size_t column = 0; column < columns; ++column) {
      const auto number = table[row][column] == 0 ? std::string(1, '.') : std::to_string(table[row][column]);
      line.append(1 + heads[column].size() - std::min(heads[column].size(), number.size()), ' ')
          .append(number);
    }
    print_line(line);
  }
}

void print_report(const AdherenceReport& report, bool is_part) {
  char part[64] = "";
  if (is_part) std::snprintf(part, sizeof part, ", from %.4g s to %.4g s", report.part.from, report.part.to);
  print_line(std::to_string(report.clips.size()) + " clips" + part);
  for (const auto& [name, count] :
       {std::pair{"background", report.background}, std::pair{"colour", report.colour},
        std::pair{"shape", report.shape}, std::pair{"motion", report.motion},
        std::pair{"all four", report.all_four}, std::pair{"objects", report.count},
        std::pair{"size", report.object_size}})
    print_line(padded(name, 12) + percent(report, count));
  char error[32];
  std::snprintf(error, sizeof error, "%5.1f of 255", report.background_error());
  print_line(padded("plain error", 12) + error);
  if (report.plan && report.plan->settings.loop.value_or(false)) {
    std::snprintf(error, sizeof error, "%5.1f", report.closing());
    print_line(padded("closing", 12) + error + " times the step from frame to frame");
  }
  if (report.clips.front().completion) {
    std::snprintf(error, sizeof error, "%5.1f, %.1f px", report.position_error(0.5),
                  report.position_error(0.9));
    print_line(padded("position", 12) + error + " off, half and nine tenths of the clips");
    std::snprintf(error, sizeof error, "%5.1f%%", 100 * report.kept_share());
    print_line(padded("kept", 12) + error + " of the clips have all that was given");
  }
  print_confusion(report.shapes, world_shapes());
  print_confusion(report.motions, world_motions());
}

void make_folder(const fs::path& folder) {
  check_name_length(folder / "judged.jsonl");
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    throw Error(ErrorKind::output, folder.string() + ": cannot be created (" + failed.message() + ")");
  check_output((folder / "00000.mp4").string());
}

// What the flags leave open comes from the model's t2v.json.
void resolve(EvalOptions& options, const GenerationRequest& defaults,
             const std::vector<std::array<int64_t, 2>>& trained_sizes) {
  auto& adherence = options.adherence;
  if (options.side != "held-out" && options.side != "training" && options.side != "any")
    throw Error(ErrorKind::usage, "--side should be held-out, training or any, found '" + options.side + "'");
  adherence.side = options.side == "held-out"   ? WorldSide::held_out
                   : options.side == "training" ? WorldSide::training
                                                : WorldSide::any;
  if (options.from.size() != options.to.size())
    throw Error(ErrorKind::usage, "--from and --to go together: as many of the one as of the other");
  for (std::size_t i = 0; i < options.from.size(); ++i)
    adherence.parts.push_back({options.from[i], options.to[i]});
  if (!options.task.empty())
    adherence.completion = static_cast<Completion>(world_index(completion_names(), options.task));
  for (const auto& name : options.motions) adherence.motions.push_back(world_index(world_motions(), name));
  if (options.ground_truth && options.vae)
    throw Error(ErrorKind::usage,
                "--ground-truth and --vae are two different things to judge; leave out one");
  adherence.source = options.ground_truth ? AdherenceSource::ground_truth
                     : options.vae        ? AdherenceSource::autoencoder
                                          : AdherenceSource::model;
  adherence.frames = options.frames.value_or(defaults.frames.value_or(adherence.frames));
  if (!options.size.empty()) {
    adherence.sizes = {parse_size(options.size, "--size")};
  } else if (!trained_sizes.empty()) {
    adherence.sizes.clear();
    for (const auto& [width, height] : trained_sizes) adherence.sizes.push_back({width, height});
  } else if (defaults.width && defaults.height) {
    adherence.sizes = {{*defaults.width, *defaults.height}};
  }
  auto& request = adherence.request;
  request.model = options.model;
  request.device = options.device;
  request.dtype = options.dtype;
  request.scheduler = options.scheduler;
  request.steps = options.steps;
  request.window = options.window == 0 ? adherence.frames : options.window;
  request.overlap = options.overlap;
  request.context_noise = options.context_noise;
  if (options.loop) request.loop = true;
  request.guidance_scale = options.guidance_scale;
  request.guidance_rescale = options.guidance_rescale;
  adherence.out = options.out;
}

void run_eval(EvalOptions& options) {
  if (options.json) require_own_stdout(options.progress, "the JSON of --json");
  const auto observer = make_progress(options.progress);
  const auto folder = open_model_folder(
      find_model(options.model, [&](const std::string& line) { observer->note(line); }));
  resolve(options, folder_settings(folder), folder.defaults.sizes);
  check_adherence(options.adherence);
  if (!options.out.empty()) make_folder(options.out);
  const auto reports = judge_model(options.adherence, *observer);
  const bool parts = !options.adherence.parts.empty();
  Json json = Json::array();
  for (const auto& report : reports) json.push_back(report_to_json(report, options.adherence));
  if (options.json)
    print_line((parts ? json : json.front()).dump(2));
  else
    for (const auto& report : reports) print_report(report, parts);
}

}  // namespace

void add_eval_world2(CLI::App& eval);

void add_eval_command(CLI::App& app) {
  auto options = std::make_shared<EvalOptions>();
  auto* eval = app.add_subcommand("eval", "Measure how often a model does what its prompt asks for");
  eval->require_subcommand(1);
  eval->footer("Example:\n  t2v eval world --prompts 72");
  auto* command = eval->add_subcommand(
      "world", "On prompts of the procedural world, judged from the frames (docs/world.md)");
  auto& adherence = options->adherence;
  command->add_option("-m,--model", options->model, "Model folder, or the name of a shipped model")
      ->capture_default_str();
  command->add_option("--prompts", adherence.prompts, "How many")->capture_default_str();
  command->add_option("--objects", adherence.objects, "In every scene: 1 or 2")->capture_default_str();
  command
      ->add_option("--side", options->side,
                   "Combinations of colour, shape and motion: held-out (never trained on), training, any")
      ->capture_default_str();
  command->add_option("-s,--seed", adherence.seed, "Of scenes, captions and noise")->capture_default_str();
  command->add_option("--steps", options->steps, "Denoising steps (t2v.json)");
  command->add_option("--guidance-scale,--cfg-scale", options->guidance_scale,
                      "Classifier-free guidance (t2v.json)");
  command
      ->add_option("--guidance-rescale", options->guidance_rescale,
                   "How far guidance is scaled back, 0 to 1 (t2v.json)")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option("--scheduler", options->scheduler, scheduler_list() + " (t2v.json)");
  command->add_option("--frames", options->frames, "Of each clip (t2v.json)");
  command->add_flag("--loop", options->loop, "Clips that lead back to their first frame: 4·k frames");
  command->add_option("--window", options->window,
                      "Frames of each part of a long clip; 0 makes all clips in one (t2v.json)");
  command->add_option("--overlap", options->overlap,
                      "Frames that a part shares with the one before (t2v.json)");
  command->add_option("--context-noise", options->context_noise,
                      "Timestep that the shared frames are noised to (t2v.json)");
  command
      ->add_option("--from", options->from,
                   "Judge this part of each clip as a clip of its own, seconds; may be given several times")
      ->allow_extra_args(false);
  command->add_option("--to", options->to, "The part's end, seconds")->allow_extra_args(false);
  command->add_option("--motions", options->motions, "Only scenes with these: \"bouncing,pulsing\"")
      ->delimiter(',');
  command->add_option(
      "--task", options->task,
      "A part of each scene is given and the rest judged: image, ends, extend, backward, connect, fill, "
      "mask (docs/tasks.md)");
  command->add_option("--size", options->size, "WxH (the model's sizes in turn)");
  command->add_flag("--ground-truth", options->ground_truth,
                    "Judge the scenes' own pictures: how far the judge is to be believed");
  command->add_flag(
      "--vae", options->vae,
      "Judge them as the model's autoencoder gives them back: what the model could reach at best");
  command->add_option("-o,--out", options->out, "Folder for the clips and judged.jsonl");
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("--device", options->device, "auto, cpu or cuda[:N]")->capture_default_str();
  command->add_option("--dtype", options->dtype, "auto, float32, bfloat16 or float16")->capture_default_str();
  command->add_option("--progress", options->progress, progress_help)->capture_default_str();
  command->footer(
      "Examples:\n  t2v eval world --prompts 72\n  t2v eval world --ground-truth --prompts 500 --json\n"
      "  t2v eval world --task extend --frames 33");
  command->callback([options] { telling_failure(options->progress, [&] { run_eval(*options); }); });
  add_eval_world2(*eval);
}

}  // namespace t2v
