// t2v train
#include "cli/app.h"
#include "cli/progress.h"
#include "train/run/run.h"

namespace t2v {

void add_train_command(CLI::App& app) {
  struct Options {
    TrainingRequest request;
    std::string out, progress = "auto";
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("train", "Train a model from nothing, or go on with one");
  auto& request = options->request;
  command->add_option("config", request.config, "JSON file: architecture, data and stages (docs/training.md)")
      ->required();
  command
      ->add_option("--out", options->out,
                   "Folder of the run: checkpoints, metrics.jsonl, report.html, and the model in OUT/model")
      ->required();
  command->add_flag("--resume", request.resume, "Go on with the run in OUT where it stopped");
  command
      ->add_option("-m,--model", request.models,
                   "Begin from this model (folder or name): its architecture and its weights; given again, "
                   "from the mean of the weights")
      ->allow_extra_args(false);
  command->add_option("--data", request.data,
                      "Folder of clips with captions: clip.mp4 + clip.txt, or metadata.jsonl (the procedural "
                      "world when absent)");
  command->add_option("--minutes", request.minutes,
                      "Plan the learning rate for so many minutes of training, all stages together");
  command->add_option("--device", request.device, "auto, cpu or cuda[:N]")->capture_default_str();
  command->add_option("--threads", request.threads, "Worker threads on the CPU (all processors when absent)");
  command->add_option("--progress", options->progress, progress_help)->capture_default_str();
  command->footer(
      "Ctrl-C, SIGTERM or SIGHUP writes a checkpoint and stops; --resume goes on from it. Several processes "
      "share the work when RANK, WORLD_SIZE,\n"
      "MASTER_ADDR and MASTER_PORT (or Slurm's variables) are set.\n\n"
      "Examples:\n"
      "  t2v train configs/train/world-64.json --out runs/a\n"
      "  t2v train configs/train/world-64.json --out runs/a --resume\n"
      "  t2v train configs/train/finetune.json --model models/world-128 --data my-clips/ --out runs/b "
      "--minutes 30\n"
      "  t2v generate -m runs/a/model -p \"a red circle bouncing on a navy background\" -o clip.mp4");
  command->callback([options] {
    telling_failure(options->progress, [&] {
      options->request.out = options->out;
      const auto observer = make_progress(options->progress);
      print_line(run_training(options->request, *observer).string());
    });
  });
}

}  // namespace t2v
