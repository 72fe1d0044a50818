// t2v bench: how quick a model is here, with random weights
#include <cstdio>

#include "base/json.h"
#include "cli/app.h"
#include "cli/progress.h"
#include "models/architectures.h"
#include "pipeline/benchmark.h"
#include "pipeline/plan/sizes.h"
#include "t2v/error.h"

namespace t2v {

namespace {

struct BenchOptions {
  std::string architecture = kDefaultModel, size, device = "auto", dtype = "auto", progress = "auto";
  std::optional<int64_t> frames;
  BenchmarkOptions benchmark;
  bool json = false;
};

Json to_json(const BenchOptions& options, const Benchmark& found) {
  const auto& asked = options.benchmark;
  Json parts = Json::object();
  for (const auto& part : found.parts) {
    auto& json = parts[part.name];
    json = {{"numbers", part.numbers}};
    if (!part.left_out.empty()) {
      json["left_out"] = part.left_out;
      continue;
    }
    json.update(
        {{"seconds", part.seconds}, {"flops", part.flops}, {"flops_per_second", part.flops / part.seconds}});
    json["attention"] = part.attention;
    if (part.share) json["share_of_product_rate"] = *part.share;
    if (part.peak_bytes) json["peak_bytes"] = *part.peak_bytes;
  }
  Json json = {{"architecture", options.architecture},
               {"width", asked.width},
               {"height", asked.height},
               {"frames", asked.frames},
               {"steps", asked.steps},
               {"device", asked.device.str()},
               {"dtype", dtype_name(asked.dtype)},
               {"tokens", found.tokens},
               {"product_flops_per_second", found.product_rate},
               {"parts", parts}};
  if (found.peak_bytes) json["peak_bytes"] = *found.peak_bytes;
  return json;
}

void print_table(const BenchOptions& options, const Benchmark& found) {
  const auto& asked = options.benchmark;
  char line[160];
  std::snprintf(line, sizeof line, "%s, %lldx%lld, %lld frames, %lld tokens a step; %s on %s",
                options.architecture.c_str(), static_cast<long long>(asked.width),
                static_cast<long long>(asked.height), static_cast<long long>(asked.frames),
                static_cast<long long>(found.tokens), dtype_name(asked.dtype).c_str(),
                asked.device.str().c_str());
  print_line(line);
  std::snprintf(line, sizeof line, "a matrix product: %.3g TFLOP/s", found.product_rate / 1e12);
  print_line(line);
  print_line("part        weights     seconds       TFLOP     TFLOP/s   of product      memory");
  double whole = 0;
  bool complete = true;
  std::string attention;
  for (const auto& part : found.parts) {
    if (!part.left_out.empty()) {
      std::snprintf(line, sizeof line, "%-8s%8.2f G   left out: ", part.name.c_str(),
                    static_cast<double>(part.numbers) / 1e9);
      print_line(line + part.left_out);
      complete = false;
      continue;
    }
    char share[16] = "", memory[16] = "";
    if (part.share) std::snprintf(share, sizeof share, "%.0f%%", 100 * *part.share);
    if (part.peak_bytes)
      std::snprintf(memory, sizeof memory, "%.2f GB", static_cast<double>(*part.peak_bytes) / (1 << 30));
    std::snprintf(line, sizeof line, "%-8s%8.3f G %11.4f %11.4g %11.3g %12s %11s", part.name.c_str(),
                  static_cast<double>(part.numbers) / 1e9, part.seconds, part.flops / 1e12,
                  part.flops / part.seconds / 1e12, share, memory);
    print_line(line);
    for (const auto& way : part.attention)
      attention += (attention.empty() ? "" : ", ") + part.name + " " + way;
    whole += part.seconds * (part.name == "step" ? static_cast<double>(asked.steps) : 1);
  }
  if (!attention.empty()) print_line("attention: " + attention);
  if (complete) {
    std::snprintf(line, sizeof line, "a clip of %lld steps: %.3g s", static_cast<long long>(asked.steps),
                  whole);
    print_line(line);
  }
  if (!found.peak_bytes) return;
  std::snprintf(line, sizeof line, "memory of the process, at its peak: %.2f GB",
                static_cast<double>(*found.peak_bytes) / (1 << 30));
  print_line(line);
}

ModelFolder folder_of(const BenchOptions& options) {
  for (const auto& name : architecture_names())
    if (options.architecture == name) return architecture_folder(name);
  return open_model_folder(find_model(options.architecture));
}

void run_bench(BenchOptions& options) {
  if (options.json) require_own_stdout(options.progress, "the JSON of --json");
  auto& asked = options.benchmark;
  if (asked.steps < 1 || asked.steps > 1000)
    throw Error(ErrorKind::usage,
                "--steps should be between 1 and 1000, found " + std::to_string(asked.steps));
  const auto configs = read_model_configs(folder_of(options));
  const auto& defaults = configs.defaults;
  asked.width = defaults.width.value_or(0);
  asked.height = defaults.height.value_or(0);
  if (!options.size.empty()) {
    const auto size = parse_size(options.size, "--size");
    asked.width = size.width, asked.height = size.height;
  }
  asked.frames = options.frames.value_or(defaults.frames.value_or(17));
  asked.device = parse_device(options.device);
  asked.dtype = parse_dtype(options.dtype, asked.device);
  const auto observer = make_progress(options.progress);
  const auto found = run_benchmark(configs, asked, *observer);
  if (options.json)
    print_line(to_json(options, found).dump(2));
  else
    print_table(options, found);
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  auto* command = app.add_subcommand("bench", "Measure how quick a model is here, with random weights");
  std::string names;
  for (const auto& name : architecture_names()) names += name + ", ";
  command
      ->add_option("--architecture", options->architecture,
                   names + "or a model (folder or name): its configs alone")
      ->capture_default_str();
  command->add_option("--size", options->size, "WxH (the model's own)");
  command->add_option("--frames", options->frames, "Of the clip (the model's own)");
  command->add_option("--steps", options->benchmark.steps, "Denoising steps, after one that is not counted")
      ->capture_default_str();
  command
      ->add_option("--guidance-scale,--cfg-scale", options->benchmark.guidance_scale,
                   "Above 1 each step has two branches")
      ->capture_default_str();
  command->add_option("--device", options->device, "auto, cpu or cuda[:N]")->capture_default_str();
  command->add_option("--dtype", options->dtype, "auto, float32, bfloat16 or float16")->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("--progress", options->progress, progress_help)->capture_default_str();
  command->footer(
      "Examples:\n  t2v bench\n  t2v bench --architecture wan2.1-t2v-1.3b --size 832x480 --frames 81 --steps "
      "4");
  command->callback([options] { telling_failure(options->progress, [&] { run_bench(*options); }); });
}

}  // namespace t2v
