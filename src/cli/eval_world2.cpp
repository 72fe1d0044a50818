// t2v eval world2: how often renderings of the picture book are read rightly
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/atomic_file.h"
#include "cli/app.h"
#include "cli/progress.h"
#include "pipeline/components.h"
#include "pipeline/plan/sizes.h"
#include "t2v/error.h"
#include "train/run/files.h"
#include "world/book/evaluate.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

struct World2Options {
  std::string reader, side = "held-out", progress = "auto", device = "auto", out, sizes;
  std::optional<std::string> model;
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
  if (!options.vae && options.model) refuse("--model is whose autoencoder is tried; pass --vae with it");
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
  for (const auto& [name, count] : {std::pair{"things", report.things}, std::pair{"motions", report.motions},
                                    std::pair{"place", report.place}, std::pair{"camera", report.camera},
                                    std::pair{"all", report.all}, std::pair{"not sure", report.not_sure}}) {
    char line[48];
    std::snprintf(line, sizeof line, "%-12s%5.1f%%", name, 100 * report.share(count));
    print_line(line);
  }
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
  const auto report = evaluate_book(*reader, device, options.evaluation, [&](int64_t done) {
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
  auto* command = eval.add_subcommand(
      "world2", "How often renderings of the picture book are read rightly (docs/picture-book.md)");
  auto& evaluation = options->evaluation;
  command->add_option("--reader", options->reader, "Folder of a reader: RUN/reader of a t2v train")
      ->required();
  command->add_option("--prompts", evaluation.prompts, "How many renderings")->capture_default_str();
  command
      ->add_option("--side", options->side, "Combinations of thing, motion and place: held-out or training")
      ->capture_default_str();
  command->add_option("-s,--seed", evaluation.seed, "Of the scenes")->capture_default_str();
  command->add_option("--frames", evaluation.frames, "Of each rendering, a single shot")
      ->capture_default_str();
  command->add_option("--size", options->sizes, "WxH (128x128, 160x96, 96x160, 144x112, 192x80 in turn)");
  command->add_option("--sure", evaluation.sure, "What is read with less than that, 0 to 1, is not read")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_flag("--vae", options->vae, "Read them as a model's autoencoder gives them back");
  command->add_option("-m,--model", options->model, "Whose autoencoder: folder or name");
  command->add_option("-o,--out", options->out, "Folder for read.jsonl, a line for each rendering");
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("--device", options->device, "auto, cpu or cuda[:N]")->capture_default_str();
  command->add_option("--progress", options->progress, progress_help)->capture_default_str();
  command->footer(
      "Examples:\n  t2v eval world2 --reader runs/reader/reader\n"
      "  t2v eval world2 --reader runs/reader/reader --vae -m runs/vae/model --prompts 300");
  command->callback([options] { telling_failure(options->progress, [&] { run_world2(*options); }); });
}

}  // namespace t2v
