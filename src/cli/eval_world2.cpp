// t2v eval world2: how often renderings of the picture book, or clips that a model makes, are read rightly
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/atomic_file.h"
#include "cli/app.h"
#include "cli/progress.h"
#include "pipeline/components.h"
#include "pipeline/plan/sizes.h"
#include "schedulers/scheduler_classes.h"
#include "t2v/error.h"
#include "train/run/files.h"
#include "world/asked_clips.h"
#include "world/book/evaluate.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

struct World2Options {
  std::string reader, side = "held-out", progress = "auto", device = "auto", out, sizes;
  std::optional<std::string> model;
  GenerationRequest request;
  std::string dtype = "auto";
  BookEvaluation evaluation;
  bool json = false, vae = false;
};

void resolve(World2Options& options) {
  auto& evaluation = options.evaluation;
  const auto refuse = [](const std::string& what) { throw Error(ErrorKind::usage, what); };
  if (options.side != "held-out" && options.side != "training")
    refuse("--side should be held-out or training, found '" + options.side + "'");
  evaluation.side = options.side == "held-out" ? WorldSide::held_out : WorldSide::training;
  if (evaluation.prompts < 1 || evaluation.prompts > 100'000)
    refuse("--prompts should be between 1 and 100000, found " + std::to_string(evaluation.prompts));
  if (evaluation.frames < 1 || evaluation.frames > 1000)
    refuse("--frames should be between 1 and 1000, found " + std::to_string(evaluation.frames));
  if (options.vae && !options.model) refuse("--vae needs --model: whose autoencoder");
  const auto seconds = static_cast<double>(evaluation.frames) / kWorldFps;
  if (!(evaluation.from >= 0 && evaluation.from < evaluation.to.value_or(seconds) &&
        evaluation.to.value_or(seconds) <= seconds))
    refuse("--from and --to should lie in a clip of " + std::to_string(evaluation.frames) + " frames, " +
           Json(seconds).dump() + " s");
  auto& request = options.request;
  if ((options.vae || !options.model) && (request.steps || request.guidance_scale || request.scheduler))
    refuse(
        "--steps, --guidance-scale and --scheduler are of clips that a model makes; pass --model without "
        "--vae");
  request.model = options.model;
  request.device = options.device;
  request.dtype = options.dtype;
  if (!options.sizes.empty()) {
    const auto size = parse_size(options.sizes, "--size");
    evaluation.sizes = {{size.width, size.height}};
  }
  for (const auto& [width, height] : evaluation.sizes)
    if (width < 32 || height < 32 || width % kReaderCell != 0 || height % kReaderCell != 0)
      refuse("--size should be multiples of " + std::to_string(kReaderCell) + " and at least 32, found " +
             std::to_string(width) + "x" + std::to_string(height));
}

void print_report(const BookReport& report) {
  print_line(std::to_string(report.clips.size()) + " clips");
  const auto clips = static_cast<int64_t>(report.clips.size());
  const auto row = [&](const char* name, int64_t count, int64_t of) {
    char line[64];
    const int end = std::snprintf(line, sizeof line, "%-12s%5.1f%%", name, 100 * report.share(count, of));
    if (of != clips)
      std::snprintf(line + end, sizeof line - static_cast<std::size_t>(end), " of %lld that ask for it",
                    static_cast<long long>(of));
    print_line(line);
  };
  row("things", report.things, clips);
  row("motions", report.motions, report.asked_motions);
  row("place", report.place, report.asked_place);
  row("camera", report.camera, report.asked_camera);
  row("all", report.all, clips);
  row("not sure", report.not_sure, clips);
  const auto json = book_report_to_json(report);
  if (json.contains("psnr")) {
    char line[48];
    std::snprintf(line, sizeof line, "%-12s%5.2f dB", "autoencoder", json["psnr"].get<double>());
    print_line(line);
  }
  for (const auto& [kind, mistakes] : json["mistakes"].items())
    for (const auto& [shown, read] : mistakes.items())
      for (const auto& [name, count] : read.items())
        print_line(kind + ": " + shown + " read as " + name + " " + std::to_string(count.get<int64_t>()));
}

void run_world2(World2Options& options) {
  if (options.json) require_own_stdout(options.progress, "the JSON of --json");
  resolve(options);
  const auto observer = make_progress(options.progress);
  const auto device = parse_device(options.device);
  const auto reader = load_book_reader(options.reader, device);
  std::unique_ptr<VideoVae> vae;
  if (options.model && !options.vae) {
    const auto folder = open_model_folder(find_model(*options.model));
    require_world_fps(folder);
    if (options.sizes.empty() && !folder.defaults.sizes.empty())
      options.evaluation.sizes = folder.defaults.sizes;
  }
  if (options.vae) {
    const auto model = open_model(open_model_folder(find_model(*options.model)));
    vae = load_vae(*model, {device});
    options.evaluation.autoencoder = vae.get();
    const auto ratio = vae->spec().temporal_ratio;
    if ((options.evaluation.frames - 1) % ratio != 0)
      throw Error(ErrorKind::usage, "--frames should be 1 + " + std::to_string(ratio) +
                                        "·k for this autoencoder, found " +
                                        std::to_string(options.evaluation.frames));
  }
  if (!options.out.empty()) make_folder(options.out);
  const auto report = options.model && !options.vae
                          ? evaluate_book_model(*reader, device, options.evaluation, options.request,
                                                options.out, *observer)
                          : evaluate_book(*reader, device, options.evaluation, [&](int64_t done) {
                              observer->check_cancelled();
                              observer->progress({"read", done, options.evaluation.prompts});
                            });
  if (!options.out.empty()) {
    std::string lines;
    for (const auto& clip : report.clips) lines += read_clip_to_json(clip).dump() + "\n";
    write_file_atomically(fs::path(options.out) / "read.jsonl", lines);
  }
  if (options.json)
    print_line(book_report_to_json(report).dump(2));
  else
    print_report(report);
}

}  // namespace

void add_eval_world2(CLI::App& eval) {
  auto options = std::make_shared<World2Options>();
  options->evaluation.sizes = {{128, 128}, {160, 96}, {96, 160}, {144, 112}, {192, 80}};
  auto* command = eval.add_subcommand("world2",
                                      "How often a model's clips, or renderings, of the picture book are "
                                      "read rightly (docs/picture-book.md)");
  auto& evaluation = options->evaluation;
  command->add_option("--reader", options->reader, "Folder of a reader: RUN/reader of a t2v train")
      ->required();
  command->add_option("--prompts", evaluation.prompts, "How many clips")->capture_default_str();
  command
      ->add_option("--side", options->side, "Combinations of thing, motion and place: held-out or training")
      ->capture_default_str();
  command->add_option("-s,--seed", evaluation.seed, "Of the scenes")->capture_default_str();
  command->add_option("--things", evaluation.drawings, "Of the first so many things, and the coloured shapes")
      ->check(CLI::Range(1, kBookDrawings))
      ->capture_default_str();
  command->add_option("--frames", evaluation.frames, "Of each clip, a single shot")->capture_default_str();
  command->add_option(
      "--size", options->sizes,
      "WxH (the model's sizes in turn; of renderings 128x128, 160x96, 96x160, 144x112, 192x80)");
  command->add_option("--sure", evaluation.sure, "What is read with less than that, 0 to 1, is not read")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--from", evaluation.from, "Of each clip read what is after so many seconds")
      ->capture_default_str();
  command->add_option("--to", evaluation.to, "And what is before so many (its end)");
  command->add_option("-m,--model", options->model,
                      "Read clips that this model, a folder or a name, makes from the captions; renderings "
                      "without it");
  command->add_flag("--vae", options->vae, "Read renderings as the model's autoencoder gives them back");
  auto& request = options->request;
  command->add_option("--steps", request.steps, "Denoising steps (t2v.json)");
  command->add_option("--guidance-scale,--cfg-scale", request.guidance_scale,
                      "Classifier-free guidance (t2v.json)");
  command->add_option("--scheduler", request.scheduler, scheduler_list() + " (t2v.json)");
  command->add_option("-o,--out", options->out,
                      "Folder for read.jsonl, a line for each clip, and a model's clips");
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("--device", options->device, "auto, cpu or cuda[:N]")->capture_default_str();
  command->add_option("--dtype", options->dtype, "Of the model: auto, float32, bfloat16 or float16")
      ->capture_default_str();
  command->add_option("--progress", options->progress, progress_help)->capture_default_str();
  command->footer(
      "Examples:\n  t2v eval world2 --reader runs/reader/reader\n"
      "  t2v eval world2 --reader runs/reader/reader --vae -m runs/vae/model --prompts 300\n"
      "  t2v eval world2 --reader runs/reader/reader -m runs/book/model --prompts 300 --out judged");
  command->callback([options] { telling_failure(options->progress, [&] { run_world2(*options); }); });
}

}  // namespace t2v
