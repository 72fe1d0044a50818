#include "cli/command_tree.h"

#include <algorithm>
#include <map>
#include <set>

#include "schedulers/scheduler_classes.h"

namespace t2v {

namespace {

// The choices of options that check their values themselves. What CLI11 checks (CLI::IsMember) it knows.
const std::map<std::string, std::vector<std::string>> known_choices = {
    {"scheduler", scheduler_names()},
    {"sigma-schedule", {"karras", "exponential", "beta"}},
    {"fit", {"crop", "pad", "stretch"}},
    {"resize-filter", {"lanczos", "nearest"}},
    {"device", {"auto", "cpu", "cuda"}},
    {"dtype", {"auto", "float32", "bfloat16", "float16"}},
    {"weights-dtype", {"auto", "float32", "bfloat16", "float16", "float8", "q8_0", "q4_0"}},
    {"vae-dtype", {"auto", "float32", "bfloat16", "float16"}},
    {"vae-tiling", {"auto", "on", "off"}},
    {"progress", {"auto", "bar", "plain", "json", "openjd", "none"}},
    {"format", {"txt", "jsonl", "json", "csv"}},
    {"redo", {"failed", "changed", "all"}},
    {"side", {"held-out", "training", "any"}},
};

// Text that names no file.
const std::set<std::string> free_text = {"prompt", "negative-prompt", "text",  "size",   "aspect",
                                         "resize", "memory-limit",    "shard", "motions"};

// "TEXT:{lanczos,nearest}" → its choices
std::vector<std::string> choices_of_type(const std::string& type) {
  const auto open = type.find('{');
  const auto close = type.find('}', open);
  if (open == std::string::npos || close == std::string::npos) return {};
  std::vector<std::string> choices = {""};
  for (const char c : type.substr(open + 1, close - open - 1)) {
    if (c == ',')
      choices.emplace_back();
    else
      choices.back() += c;
  }
  return choices;
}

Values values_of(const std::string& name, const std::string& type, const std::vector<std::string>& models) {
  if (auto choices = choices_of_type(type); !choices.empty()) return {std::move(choices)};
  if (const auto known = known_choices.find(name); known != known_choices.end()) return {known->second};
  if (name == "model") return {models, FileValues::folders};
  if (name == "what") return {models, FileValues::files};  // t2v info
  for (const char* number : {"INT", "UINT", "FLOAT", "NUMBER", "MIB"})
    if (type.starts_with(number)) return {};
  if (free_text.contains(name)) return {};
  return {{}, type == "DIR" ? FileValues::folders : FileValues::files};
}

OptionNames read_option(const CLI::Option& option, const std::vector<std::string>& models) {
  OptionNames read;
  for (const auto& name : option.get_snames()) read.names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) read.names.push_back("--" + name);
  read.positional = read.names.empty();
  if (read.positional) read.names.push_back(option.get_name(true));
  read.takes_value = option.get_items_expected_max() > 0;
  read.repeatable = option.get_items_expected_max() > 1;
  read.required = option.get_required();
  read.description = option.get_description();
  read.group = option.get_group();
  if (!read.takes_value) return read;
  const auto type = option.get_type_name();
  read.value_name = type.substr(0, type.find(':'));
  read.fallback = option.get_default_str();
  const auto name = option.get_lnames().empty() ? read.names.front() : option.get_lnames().front();
  read.values = values_of(name, type, models);
  return read;
}

void read_command(const CLI::App& app, const std::vector<std::string>& models, Command& command) {
  command.description = app.get_description();
  command.footer = app.get_footer();
  for (const auto* option : app.get_options()) command.options.push_back(read_option(*option, models));
  std::stable_sort(command.options.begin(), command.options.end(),
                   [](const auto& a, const auto& b) { return a.positional > b.positional; });
  for (const auto* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    auto& below = command.subcommands.emplace_back();
    below.name = child->get_name();
    below.path = command.path.empty() ? below.name : command.path + " " + below.name;
    read_command(*child, models, below);
  }
}

}  // namespace

Command read_command_tree(const CLI::App& app, const std::vector<std::string>& models) {
  Command program;
  program.name = app.get_name();
  read_command(app, models, program);
  return program;
}

std::vector<const Command*> all_commands(const Command& command) {
  std::vector<const Command*> all = {&command};
  for (const auto& below : command.subcommands)
    for (const auto* each : all_commands(below)) all.push_back(each);
  return all;
}

std::string flag_names(const Command& command) {
  std::vector<std::string> names;
  for (const auto& option : command.options)
    if (!option.positional) names.insert(names.end(), option.names.begin(), option.names.end());
  return joined(names, " ");
}

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string all;
  for (const auto& word : words) all += (&word == words.data() ? "" : between) + word;
  return all;
}

}  // namespace t2v
