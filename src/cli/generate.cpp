// t2v generate
#include <cstdio>

#include "cli/app.h"
#include "cli/progress.h"
#include "cli/setting_flags.h"
#include "pipeline/plan/settings.h"
#include "t2v/generate.h"

namespace t2v {

namespace {

struct GenerateOptions {
  std::shared_ptr<SettingFlags> settings;
  std::optional<std::string> text;
  std::string progress = "auto";
  bool dry_run = false;
  bool print_config = false;
};

std::string seconds(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", value);
  return text;
}

void run_generate(const GenerateOptions& options) {
  if (options.text && options.settings->given.contains("prompt"))
    throw Error(ErrorKind::usage, "the prompt is given twice: with --prompt and as '" + *options.text + "'");
  if (options.text) options.settings->given.emplace("prompt", *options.text);
  const auto request = request_from(*options.settings);
  if (options.print_config) return print_line(request_to_json(request).dump(2));
  const auto observer = make_progress(options.progress);
  if (request.output == "-") require_own_stdout(options.progress, "the video of -o -");
  warn_of_another_model(*options.settings, request);
  auto plan = plan_generation(request);
  if (options.dry_run) {
    plan.time = estimate_time(plan);
    return print_line(plan_to_json(plan));
  }
  for (const auto& clip : plan.clips)
    observer->note("seed " + std::to_string(clip.seed) + " -> " + clip.output);
  const auto result = generate(plan, *observer, [](const ClipResult& clip) {
    if (clip.output != "-") print_line(clip.output);
  });
  observer->note("loaded in " + seconds(result.preparation.load_seconds) + ", text in " +
                 seconds(result.preparation.text_seconds));
  for (const auto& clip : result.clips)
    observer->note(clip.output + ": " + std::to_string(clip.frames) +
                   (clip.frames == 1 ? " frame" : " frames") + ", denoised in " +
                   seconds(clip.denoise_seconds) + ", decoded and written in " +
                   seconds(clip.decode_seconds));
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto options = std::make_shared<GenerateOptions>();
  auto* command = app.add_subcommand("generate", "Make video clips from a prompt");
  options->settings = add_setting_flags(*command);
  command->add_option("text", options->text, "The prompt, as with --prompt")->group("What to make");
  command->add_option("--progress", options->progress, progress_help)->group("Run");
  command->add_flag("--dry-run", options->dry_run, "Print the plan as JSON and stop")->group("Run");
  command
      ->add_flag("--print-config", options->print_config, "Print the settings as JSON for --config and stop")
      ->group("Run");
  command->footer(
      "Flags win over environment variables (T2V_STEPS, T2V_MODEL, ...), those over --config, that over the "
      "model's t2v.json.\n\n"
      "Examples:\n"
      "  t2v generate \"a red circle bouncing on a navy background\" --aspect 16:9 --seconds 4 -o "
      "clip.mp4\n"
      "  t2v generate -p \"a small green star spinning on a black background\" --resize 512x512 --count 4 -o "
      "'{index}-{seed}.mp4'\n"
      "  t2v generate -p \"...\" -m Wan2.1-T2V-1.3B-Diffusers --size 832x480 --frames 81 --steps 50 -o "
      "clip.mp4\n"
      "  t2v generate -p \"...\" --image first.png --last-image last.png -o clip.mp4\n"
      "  t2v generate -p \"...\" --extend clip.mp4 --seconds 5 -o longer.mp4\n"
      "  t2v generate -p \"...\" --edit clip.mp4 --mask mask.png -o edited.mp4\n"
      "  t2v generate -p \"...\" -o - | ffplay -");
  command->callback([options] { telling_failure(options->progress, [&] { run_generate(*options); }); });
}

}  // namespace t2v
