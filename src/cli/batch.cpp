// t2v batch
#include <chrono>
#include <cstdio>

#include "batch/run_batch.h"
#include "batch/status.h"
#include "cli/app.h"
#include "cli/event_log.h"
#include "cli/progress.h"
#include "cli/setting_flags.h"
#include "pipeline/run/failures.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

using OrderedJson = nlohmann::ordered_json;

struct BatchOptions {
  std::shared_ptr<SettingFlags> settings;
  std::string prompts, out_dir, format, redo, status, log_json;
  std::optional<std::string> shard;
  std::string progress = "auto";
  bool json = false;
  bool dry_run = false;
};

// On a terminal and in plain lines a batch shows its clips, and the steps of a clip only when that takes
// long.
class ClipsProgress : public Observer {
 public:
  explicit ClipsProgress(Observer& inner) : inner_(inner) {}
  void progress(const Progress& progress) override {
    const auto now = std::chrono::steady_clock::now();
    if (progress.stage != "clips" && progress.stage != "load" && now - shown_ < std::chrono::seconds(5))
      return;
    shown_ = now;
    inner_.progress(progress);
  }
  void note(const std::string& line) override { inner_.note(line); }
  void check_cancelled() override { inner_.check_cancelled(); }

 private:
  Observer& inner_;
  std::chrono::steady_clock::time_point shown_ = std::chrono::steady_clock::now();
};

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

OrderedJson report_json(const ItemReport& report) {
  OrderedJson json = {
      {"id", report.id}, {"state", report_name(report.what)}, {"output", report.path}, {"seed", report.seed}};
  if (report.exit_code != 0) {
    json["error"] = report.error;
    json["exit_code"] = report.exit_code;
  } else {
    json["frames"] = report.frames;
    json["denoise_seconds"] = report.denoise_seconds;
    json["decode_seconds"] = report.decode_seconds;
  }
  return json;
}

BatchRequest batch_request(const BatchOptions& options, const Shard& shard) {
  BatchRequest request;
  request.shard = shard;
  request.defaults = request_from(*options.settings);
  warn_of_another_model(*options.settings, request.defaults);
  const auto output = std::exchange(request.defaults.output, std::nullopt);
  if (output == "-") throw Error(ErrorKind::usage, "--output: a batch writes files, not stdout");
  if (!options.out_dir.empty()) {
    request.folder = options.out_dir;
    if (output) request.name = *output;
  } else if (output) {
    const auto split = split_template(*output);
    request.folder = split.folder;
    request.name = split.name;
  } else {
    throw Error(ErrorKind::usage,
                "where should the clips go? Give --out-dir DIR, or names: -o 'out/{index:04}-{prompt}.mp4'");
  }
  const auto text = read_prompts(options.prompts);
  request.prompts = parse_prompts(options.prompts, text,
                                  options.format.empty() ? guess_prompts_format(options.prompts, text)
                                                         : parse_prompts_format(options.format));
  request.keep_folders = !options.dry_run;
  return request;
}

// One line for each item of the shard: what would be done.
void print_dry_run(const std::vector<BatchItem>& items, const BatchRun& run) {
  const auto decisions = decide(items, read_all_manifests(run.folder), run.folder, run.redo);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto action = decisions.of_item[i].action;
    const char* name = action == ItemDecision::Action::make   ? "make"
                       : action == ItemDecision::Action::skip ? "skip"
                                                              : "leave failed";
    print_line(dump({{"id", items[i].id},
                     {"action", name},
                     {"output", (run.folder / items[i].file).string()},
                     {"seed", items[i].plan.clips.front().seed},
                     {"tokens", items[i].plan.tokens},
                     {"settings", Json::parse(items[i].settings)}}));
  }
}

std::string summary_line(const BatchSummary& summary, double seconds) {
  char text[200];
  std::snprintf(text, sizeof text, "%lld clips: %lld made, %lld finished before, %lld failed, in %.1f s",
                static_cast<long long>(summary.items), static_cast<long long>(summary.made),
                static_cast<long long>(summary.skipped), static_cast<long long>(summary.failed), seconds);
  return text;
}

void make_batch(const BatchOptions& options, EventLog& log) {
  const auto start = std::chrono::steady_clock::now();
  BatchRun run{.shard = find_shard(options.shard)};
  if (options.json) require_own_stdout(options.progress, "the JSON of --json");
  if (!options.redo.empty()) run.redo = parse_redo(options.redo);
  const auto progress = make_progress(options.progress);
  ClipsProgress clips(*progress);
  const bool for_programs = options.progress == "json" || options.progress == "openjd";
  Observer& observer = for_programs ? *progress : static_cast<Observer&>(clips);

  const auto request = batch_request(options, run.shard);
  run.folder = request.folder;
  auto items = plan_batch(request);
  if (options.dry_run) return print_dry_run(items, run);
  if (!run.shard.source.empty())
    observer.note("shard " + std::to_string(run.shard.index) + " of " + std::to_string(run.shard.count) +
                  " (" + run.shard.source + ")");
  log.write({{"event", "start"},
             {"prompts", options.prompts},
             {"folder", run.folder.string()},
             {"items", items.size()},
             {"shard", run.shard.index},
             {"shards", run.shard.count}});

  const auto summary = run_batch(std::move(items), run, observer, [&](const ItemReport& report) {
    auto event = report_json(report);
    if (options.json)
      print_line(dump(event));
    else if (report.what == ItemReport::What::done)
      print_line(report.path);
    if (report.what == ItemReport::What::failed) observer.note(report.id + " failed: " + report.error);
    if (report.what == ItemReport::What::left_failed)
      observer.note(report.id + " failed before and is left so (--redo failed tries again): " + report.error);
    OrderedJson line = {{"event", "item"}};
    line.update(event);
    log.write(line);
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  observer.note(summary_line(summary, seconds));
  log.write({{"event", "summary"},
             {"items", summary.items},
             {"made", summary.made},
             {"skipped", summary.skipped},
             {"failed", summary.failed},
             {"seconds", seconds}});
  if (summary.failed > 0)
    throw Error(ErrorKind::partial, std::to_string(summary.failed) + " of " + std::to_string(summary.items) +
                                        " clips failed; t2v batch --status " + run.folder.string() +
                                        " --json lists them");
}

void run_batch_command(const BatchOptions& options) {
  if (!options.status.empty()) {
    const auto status = read_status(options.status);
    return print_line(options.json ? dump(status_json(status)) : status_table(status));
  }
  if (options.prompts.empty())
    throw Error(ErrorKind::usage, "a prompts file is needed (- for stdin). See t2v batch --help");
  EventLog log(options.log_json);
  try {
    make_batch(options, log);
    log.write({{"event", "end"}, {"exit_code", 0}});
  } catch (...) {
    const auto error = as_error(std::current_exception());
    log.write({{"event", "end"}, {"exit_code", error.exit_code()}, {"error", error.what()}});
    throw;
  }
}

constexpr const char* footer =
    "PROMPTS is a text file (.txt: a prompt a line, # for comments), JSON Lines (.jsonl), an array of JSON "
    "objects (.json)\n"
    "or CSV; in all but the first any setting of t2v generate can be given per item, under its long name "
    "with "
    "_ for -,\n"
    "and \"id\". Flags are for the items that do not say otherwise.\n"
    "The same command again makes what is missing: finished clips (by manifest, size and hash) are "
    "skipped.\n\n"
    "Shards: --shard I/N, or a Slurm job array, a Kubernetes indexed job (JOB_COMPLETION_INDEX with "
    "JOB_COMPLETIONS or T2V_SHARDS), RANK "
    "and\n"
    "WORLD_SIZE. A seed comes from the item, never from the shard.\n\n"
    "Exit codes: 7 some clips failed, 4 also when another process is at work on the same shard.\n\n"
    "Examples:\n"
    "  t2v batch prompts.txt -o 'out/{index:04}-{prompt}.mp4' --seconds 4 --count 2\n"
    "  t2v batch jobs.jsonl --out-dir out --shard 0/4\n"
    "  generate-prompts | t2v batch - --out-dir out\n"
    "  t2v batch --status out";

}  // namespace

void add_batch_command(CLI::App& app) {
  auto options = std::make_shared<BatchOptions>();
  auto* command = app.add_subcommand(
      "batch", "Make the clips of a prompts file, and go on where an earlier run stopped");
  command->add_option("prompts", options->prompts, "Prompts file (.txt, .jsonl, .json, .csv), - for stdin")
      ->type_name("PROMPTS");
  options->settings = add_setting_flags(*command);
  command->get_option("--output")
      ->description(
          "Names of the files: .mp4 .mov .mkv .y4m, or %05d.png within a folder; may hold {index} {seed} "
          "{prompt} {id}. The batch's folder "
          "is the part "
          "before the first field, or --out-dir (default {id}.mp4)");
  command->get_option("--seed")->description(
      "Added to what each item's seed is made from, where it has none of its own");
  command->get_option("--count")->description("How many clips of each item; each next one has the next seed");
  command->add_option("--out-dir", options->out_dir, "Folder of the batch; created if it is not there")
      ->group("Output");
  command
      ->add_option("--format", options->format,
                   "txt, jsonl, json or csv (when absent: by the file's name, else by its text)")
      ->group("Batch");
  command->add_option("--shard", options->shard, "I/N: make part I of N, I from 0")->group("Batch");
  command
      ->add_option("--redo", options->redo,
                   "failed: try failed items again; changed: replace clips whose settings changed; all: make "
                   "everything again")
      ->group("Batch");
  command->add_option("--status", options->status, "Show how far the batch in this folder is, and stop")
      ->group("Batch")
      ->type_name("DIR");
  command->add_flag("--json", options->json, "Results, or the status, as JSON lines on stdout")->group("Run");
  command->add_option("--progress", options->progress, progress_help)->group("Run");
  command
      ->add_option("--log-json", options->log_json, "Append what happens to this file, a JSON object a line")
      ->group("Run");
  command->add_flag("--dry-run", options->dry_run, "Print what would be done as JSON lines and stop")
      ->group("Run");
  command->footer(footer);
  command->callback([options] { telling_failure(options->progress, [&] { run_batch_command(*options); }); });
}

}  // namespace t2v
