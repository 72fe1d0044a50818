// t2v info: the program and its devices, a model, or a file
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/headeronly/version.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "base/cuda_library.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/utf8.h"
#include "cli/app.h"
#include "cli/info_file.h"
#include "nn/ops.h"
#include "pipeline/components.h"
#include "pipeline/plan/settings.h"
#include "pipeline/provenance.h"
#include "t2v/generate.h"
#include "video/read/decoder.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

using OrderedJson = nlohmann::ordered_json;

int64_t cuda_device_count() {
  load_cuda_library();
  return at::hasCUDA() ? static_cast<int64_t>(at::getNumGPUs()) : 0;
}

OrderedJson describe_program() {
  return {{"t2v", version()},
          {"libtorch", TORCH_VERSION},
          {"cpu_threads", at::get_num_threads()},
          {"cuda_devices", cuda_device_count()},
          {"default_model", find_model(kDefaultModel)}};
}

// The instruction sets that matter for speed, by the system's names for them.
OrderedJson describe_cpu() {
  std::set<std::string> flags;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; flags.empty() && std::getline(file, line);)
    if (line.starts_with("flags")) {
      std::istringstream words(line);
      flags = {std::istream_iterator<std::string>(words), {}};
    }
  OrderedJson instructions = OrderedJson::array();
  for (const char* name : {"avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"})
    if (flags.contains(name)) instructions.push_back(name);
  return {{"threads", at::get_num_threads()},
          {"instructions", instructions},
          {"libtorch_uses", at::get_cpu_capability()},
          {"attention", attention_taken(at::kCPU, at::kFloat)},
          {"bfloat16", flags.contains("amx_bf16") || flags.contains("avx512_bf16")}};
}

OrderedJson describe_cards() {
  const auto count = cuda_device_count();
  if (count == 0) return {{"devices", 0}, {"why", why_no_cuda_device()}};
  OrderedJson json = {{"devices", count}};
  int64_t index = 0;
  use_attention_order();
  for (const auto& card : cuda_cards()) {
    const auto name = "cuda:" + std::to_string(index++);
    json[name] = {{"name", card.name}, {"memory_bytes", card.memory_bytes}, {"bfloat16", card.bfloat16}};
    const auto attention = attention_taken(at::Device(name), card.bfloat16 ? at::kBFloat16 : at::kHalf);
    if (!attention.empty()) json[name]["attention"] = attention;
  }
  return json;
}

OrderedJson describe_devices() {
  return {{"libtorch", TORCH_VERSION},
          {"libtorch_folder", load_cuda_library().torch_folder},
          {"cpu", describe_cpu()},
          {"cuda", describe_cards()},
          {"attention_order", attention_order()}};
}

OrderedJson describe_model(const fs::path& folder) {
  const auto model = open_model_folder(folder);
  const auto configs = read_model_configs(model);
  const auto& d = model.defaults;
  OrderedJson json = {{"model", folder.string()}, {"pipeline", model.pipeline_class}};
  if (d.card) json["card"] = *d.card;
  if (d.licence) json["licence"] = *d.licence;
  if (!d.words.empty()) json["words"] = d.words;
  json["hash"] = model_hash(model);
  json["parameters"] = component_sizes(*configs.model).total();
  for (const auto& [component, what] : configs.model->describe()) json[component] = what;
  json["scheduler"] = default_scheduler(configs);
  json["size_multiple"] = size_multiple(*configs.model);
  if (!d.sizes.empty()) {
    for (const auto& [width, height] : d.sizes)
      json["sizes"].push_back(std::to_string(width) + "x" + std::to_string(height));
  }
  const auto settings = request_to_json(folder_settings(model));
  for (const auto& setting : generation_settings())
    if (settings.contains(setting.key)) json[setting.key] = settings.at(setting.key);
  if (d.max_text_tokens) json["max_text_tokens"] = *d.max_text_tokens;
  return json;
}

OrderedJson describe_video(const std::string& path) {
  const auto reader = open_video(path);
  const auto& info = reader->info();
  OrderedJson json = {{"file", path},
                      {"container", info.container},
                      {"codec", info.codec},
                      {"width", info.width},
                      {"height", info.height}};
  if (info.fps.numerator > 0) json["fps"] = static_cast<double>(info.fps.numerator) / info.fps.denominator;
  if (info.frames) json["frames"] = *info.frames;
  json["pixel_format"] = info.pixel_format;
  json["colour_space"] = info.colour_space;
  json["colour_range"] = info.colour_range;
  if (!info.notes.empty()) json["notes"] = info.notes;
  for (const auto& [key, value] : info.metadata)
    json["metadata"][key] = key == "comment" ? parsed_comment(value) : OrderedJson(value);
  return json;
}

OrderedJson describe(const std::string& what, bool devices, bool all) {
  if (devices && !what.empty())
    throw Error(ErrorKind::usage, "info --devices describes this machine; '" + what + "' is something else");
  if (devices) return describe_devices();
  if (what.empty()) return describe_program();
  std::error_code failed;
  const auto extension = fs::path(what).extension();
  if (extension == ".safetensors" || extension == ".gguf") return describe_weights(what, all);
  if (fs::is_regular_file(what, failed) || what.find('%') != std::string::npos) return describe_video(what);
  return describe_model(find_model(what, log_info));
}

// "key: value" lines, nested objects indented.
void print_lines(const OrderedJson& json, const std::string& indent) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object()) {
      print_line(indent + printable(key) + ":");
      print_lines(value, indent + "  ");
    } else {
      print_line(indent + printable(key) + ": " +
                 printable(value.is_string() ? value.get<std::string>() : json_text(value)));
    }
  }
}

}  // namespace

void add_info_command(CLI::App& app) {
  struct Options {
    std::string what;
    bool json = false;
    bool devices = false;
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand(
      "info", "Describe a model, a finished file, a file of weights, or this program and its devices");
  command->add_option(
      "what", options->what,
      "Model folder or name, video or image, .safetensors or .gguf file; nothing for the program itself");
  command->add_flag("--devices", options->devices,
                    "Describe processor and cards, and why one cannot be used");
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Of a file of weights it says what it is, what it takes in memory with each --weights-dtype, and what "
      "a\n"
      "run needs beside it; --json lists its tensors too.\n\n"
      "Examples:\n  t2v info\n  t2v info --devices\n  t2v info world-128\n  t2v info clip.mp4 --json\n"
      "  t2v info wan2.1_t2v_1.3B_bf16.safetensors");
  command->callback([options] {
    let_signals_end_the_program();  // it writes no file that would be left behind
    const auto json = describe(options->what, options->devices, options->json);
    if (options->json)
      print_line(json_text(json, 2));
    else
      print_lines(json, "");
  });
}

}  // namespace t2v
