// The commands and options of the program as plain values, read from CLI11's tree: what completions and the
// manual page are made from.
#pragma once

#include <string>
#include <vector>

#include "cli/app.h"

namespace t2v {

enum class FileValues { none, files, folders };

// What a value may be, as far as that is known.
struct Values {
  std::vector<std::string> choices;
  FileValues files = FileValues::none;
};

struct OptionNames {
  std::vector<std::string> names;  // "-s", "--seed"; of a positional argument its name alone: "prompts"
  bool positional = false;
  bool takes_value = true;
  bool repeatable = false;
  bool required = false;
  std::string value_name;  // "INT"
  std::string fallback;    // the default, where the option shows one
  std::string description, group;
  Values values;
};

struct Command {
  std::string path;  // "eval world"; empty for the program itself
  std::string name;  // "world"
  std::string description, footer;
  std::vector<OptionNames> options;  // positional arguments first
  std::vector<Command> subcommands;
};

// `models` are the names that --model is completed with.
Command read_command_tree(const CLI::App& app, const std::vector<std::string>& models);

// The command itself and all below it, parents first.
std::vector<const Command*> all_commands(const Command& command);

// Names of all options but the positional ones, with a space between: "-p --prompt".
std::string flag_names(const Command& command);

std::string joined(const std::vector<std::string>& words, const std::string& between);

std::string bash_completion(const Command& program);
std::string zsh_completion(const Command& program);
std::string fish_completion(const Command& program);

// t2v(1) as roff.
std::string manual_page(const Command& program, const std::string& version);

}  // namespace t2v
