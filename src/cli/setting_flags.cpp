#include "cli/setting_flags.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "base/utf8.h"
#include "pipeline/components.h"
#include "pipeline/plan/plan_files.h"
#include "pipeline/plan/settings.h"
#include "pipeline/provenance.h"
#include "video/read/decoder.h"
#include "video/write/output_name.h"

namespace t2v {

namespace {

std::string variable_of(const Setting& setting) {
  std::string name = "T2V_";
  for (const char* c = setting.key; *c != '\0'; ++c)
    name += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
  return name;
}

GenerationRequest from_environment() {
  GenerationRequest request;
  std::vector<std::string> known = {"T2V_MODELS", "T2V_SHARDS", "T2V_TORCH"};
  for (const auto& setting : generation_settings()) {
    known.push_back(variable_of(setting));
    if (const char* value = std::getenv(known.back().c_str()))
      set_from_text(request, setting, value, known.back());
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string variable = *entry;
    const auto name = variable.substr(0, variable.find('='));
    if (!name.starts_with("T2V_") || std::find(known.begin(), known.end(), name) != known.end()) continue;
    // Others may have variables of their own under this prefix; what looks like a misspelt setting is worth a
    // word.
    if (const auto near = nearest_name(name, known))
      log_warning("environment variable '" + name + "' is no setting and is ignored; did you mean '" + *near +
                  "'?");
  }
  return request;
}

bool is_sidecar(const Json& json) {
  return json.is_object() && json.contains("t2v") && json.contains("settings");
}

// A JSON file, or what a finished clip says of itself, which is what its sidecar says.
Json read_config(const std::string& path) {
  if (!is_output_name(path)) return read_json(path, ErrorKind::usage);
  const auto provenance = provenance_in(open_video(path)->info().metadata);
  if (!is_sidecar(provenance))
    throw Error(ErrorKind::usage, path +
                                      ": does not say how it was made, as t2v's own files do (y4m cannot); "
                                      "give --config a JSON file of settings or a clip's sidecar");
  return provenance;
}

// A JSON object of settings, or a sidecar, whose settings make its clip again.
GenerationRequest from_config(const std::string& path) {
  const auto json = read_config(path);
  return request_from_json(is_sidecar(json) ? json.at("settings") : json, path);
}

// "-s,--seed" → "--seed"
std::string long_flag(const Setting& setting) {
  const std::string flags = setting.flags;
  const auto begin = flags.find("--");
  return flags.substr(begin, flags.find(',', begin) - begin);
}

GenerationRequest from_flags(const SettingFlags& flags) {
  GenerationRequest request;
  for (const auto& setting : generation_settings())
    for (auto [given, last] = flags.given.equal_range(setting.key); given != last; ++given)
      set_from_text(request, setting, given->second, long_flag(setting));
  return request;
}

}  // namespace

void warn_of_another_model(const SettingFlags& flags, const GenerationRequest& request) {
  if (flags.config.empty()) return;
  const auto json = read_config(flags.config);
  if (!is_sidecar(json) || !json.contains("model_hash")) return;
  const auto stored = json_get<std::string>(json, "model_hash", flags.config);
  GenerationPlan plan;
  plan_files(plan, request);
  const auto model = plan.model_folder.empty() ? plan.weights.at("transformer") : plan.model_folder;
  const auto hash = model_hash(open_planned_folder(plan));
  if (hash != stored)
    log_warning(flags.config + ": its clip was made by a model with the hash " + stored + ", but " + model +
                " has " + hash + "; the clip will be another one");
}

std::shared_ptr<SettingFlags> add_setting_flags(CLI::App& command) {
  auto flags = std::make_shared<SettingFlags>();
  for (const auto& setting : generation_settings()) {
    const bool is_flag = std::holds_alternative<std::optional<bool> GenerationRequest::*>(setting.field);
    auto* option = is_flag ? command.add_flag(setting.flags, setting.help)
                           : command.add_option(setting.flags, setting.help);
    option->group(setting.group);
    const bool adds = is_list(setting.field);
    option->each([flags, adds, key = std::string(setting.key)](const std::string& value) {
      if (!adds) flags->given.erase(key);
      flags->given.emplace(key, value);
    });
    if (!is_flag) {
      option->expected(1);
      if (adds) option->take_all();
      option->type_name(
          std::holds_alternative<std::optional<std::vector<double>> GenerationRequest::*>(setting.field)
              ? "NUMBERS"
          : adds || std::holds_alternative<std::optional<std::string> GenerationRequest::*>(setting.field)
              ? "TEXT"
          : std::holds_alternative<std::optional<double> GenerationRequest::*>(setting.field) ? "NUMBER"
                                                                                              : "INT");
    }
  }
  command
      .add_option("--config", flags->config,
                  "JSON file of settings; or a clip or its sidecar, to make it again")
      ->group("Run");
  return flags;
}

GenerationRequest request_from(const SettingFlags& flags) {
  const auto config = flags.config.empty() ? GenerationRequest{} : from_config(flags.config);
  return merge_requests(merge_requests(config, from_environment()), from_flags(flags));
}

}  // namespace t2v
