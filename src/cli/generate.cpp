// t2v generate
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "base/log.h"
#include "base/utf8.h"
#include "cli/app.h"
#include "cli/progress.h"
#include "pipeline/settings.h"
#include "t2v/generate.h"

namespace t2v {

namespace {

struct GenerateOptions {
  std::map<std::string, std::string> flags;  // setting key → text
  std::string config;
  std::string progress = "auto";
  bool dry_run = false;
  bool print_config = false;
};

std::string variable_of(const Setting& setting) {
  std::string name = "T2V_";
  for (const char* c = setting.key; *c != '\0'; ++c) name += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
  return name;
}

GenerationRequest from_environment() {
  GenerationRequest request;
  std::vector<std::string> known = {"T2V_MODELS"};
  for (const auto& setting : generation_settings()) {
    known.push_back(variable_of(setting));
    if (const char* value = std::getenv(known.back().c_str())) set_from_text(request, setting, value, known.back());
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string variable = *entry;
    const auto name = variable.substr(0, variable.find('='));
    if (!name.starts_with("T2V_") || std::find(known.begin(), known.end(), name) != known.end()) continue;
    // Others may have variables of their own under this prefix; what looks like a misspelt setting is worth a word.
    if (const auto near = nearest_name(name, known))
      log_warning("environment variable '" + name + "' is no setting and is ignored; did you mean '" + *near + "'?");
  }
  return request;
}

// A JSON object of settings, or a sidecar, whose settings make its clip again.
GenerationRequest from_config(const std::string& path) {
  const auto json = read_json(path, ErrorKind::usage);
  const bool sidecar = json.is_object() && json.contains("t2v") && json.contains("settings");
  return request_from_json(sidecar ? json.at("settings") : json, path);
}

// "-s,--seed" → "--seed"
std::string long_flag(const Setting& setting) {
  const std::string flags = setting.flags;
  const auto begin = flags.find("--");
  return flags.substr(begin, flags.find(',', begin) - begin);
}

GenerationRequest from_flags(const GenerateOptions& options) {
  GenerationRequest request;
  for (const auto& setting : generation_settings())
    if (const auto found = options.flags.find(setting.key); found != options.flags.end()) {
      set_from_text(request, setting, found->second, long_flag(setting));
    }
  return request;
}

std::string seconds(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", value);
  return text;
}

void run_generate(const GenerateOptions& options) {
  // Flags over environment over --config; the model's t2v.json and the family's defaults come in the plan.
  auto request = options.config.empty() ? GenerationRequest{} : from_config(options.config);
  request = merge_requests(merge_requests(request, from_environment()), from_flags(options));
  if (options.print_config) return print_line(request_to_json(request).dump(2));
  const auto observer = make_progress(options.progress);
  const auto plan = plan_generation(request);
  if (options.dry_run) return print_line(plan_to_json(plan));
  for (const auto& clip : plan.clips) observer->note("seed " + std::to_string(clip.seed) + " -> " + clip.output);
  const auto result = generate(plan, *observer, [](const ClipResult& clip) {
    if (clip.output != "-") print_line(clip.output);
  });
  observer->note("loaded in " + seconds(result.preparation.load_seconds) + ", text in " + seconds(result.preparation.text_seconds));
  for (const auto& clip : result.clips)
    observer->note(clip.output + ": " + std::to_string(clip.frames) + (clip.frames == 1 ? " frame" : " frames") + ", denoised in " +
                   seconds(clip.denoise_seconds) + ", decoded and written in " + seconds(clip.decode_seconds));
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto options = std::make_shared<GenerateOptions>();
  auto* command = app.add_subcommand("generate", "Make video clips from a prompt");
  for (const auto& setting : generation_settings()) {
    const bool is_flag = std::holds_alternative<std::optional<bool> GenerationRequest::*>(setting.field);
    auto* option = is_flag ? command->add_flag(setting.flags, setting.help) : command->add_option(setting.flags, setting.help);
    option->group(setting.group);
    option->each([options, key = std::string(setting.key)](const std::string& value) { options->flags[key] = value; });
    if (!is_flag) {
      option->expected(1);
      option->type_name(std::holds_alternative<std::optional<std::string> GenerationRequest::*>(setting.field) ? "TEXT"
                        : std::holds_alternative<std::optional<double> GenerationRequest::*>(setting.field)    ? "NUMBER"
                                                                                                               : "INT");
    }
  }
  command->add_option("--config", options->config, "JSON file of settings, or a clip's sidecar to make it again")->group("Run");
  command->add_option("--progress", options->progress, progress_help)->group("Run");
  command->add_flag("--dry-run", options->dry_run, "Print the plan as JSON and stop")->group("Run");
  command->add_flag("--print-config", options->print_config, "Print the settings as JSON for --config and stop")->group("Run");
  command->footer(
      "Flags win over environment variables (T2V_STEPS, T2V_MODEL, ...), those over --config, that over the model's t2v.json.\n\n"
      "Examples:\n"
      "  t2v generate -p \"a red circle bouncing on a navy background\" --aspect 16:9 --seconds 4 -o clip.mp4\n"
      "  t2v generate -p \"a small green star spinning on a black background\" --resize 512x512 --count 4 -o '{index}-{seed}.mp4'\n"
      "  t2v generate -p \"...\" -m Wan2.1-T2V-1.3B-Diffusers --size 832x480 --frames 81 --steps 50 -o clip.mp4\n"
      "  t2v generate -p \"...\" -o - | ffplay -");
  command->callback([options] { run_generate(*options); });
}

}  // namespace t2v
