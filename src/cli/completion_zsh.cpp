#include <algorithm>

#include "cli/command_tree.h"

namespace t2v {

namespace {

// 'text' for the shell
std::string zsh_quoted(const std::string& text) {
  std::string all = "'";
  for (const char c : text) all += c == '\'' ? "'\\''" : std::string(1, c);
  return all + "'";
}

// For the place between the brackets of _arguments
std::string without_brackets(const std::string& text) {
  std::string all;
  for (const char c : text) all += (c == '[' || c == ']' || c == '\\' ? "\\" : "") + std::string(1, c);
  return all;
}

std::string action(const Values& values) {
  const std::string choices = joined(values.choices, " ");
  const std::string files = values.files == FileValues::folders ? "_files -/" : "_files";
  if (values.files == FileValues::none) return choices.empty() ? " " : "(" + choices + ")";
  return choices.empty() ? files : "{compadd -- " + choices + "; " + files + "}";
}

// ":INT: ", the name of a value and what completes it
std::string value_spec(const OptionNames& option) {
  const auto name = option.positional ? option.names.front() : option.value_name;
  return zsh_quoted(":" + name + ":" + action(option.values));
}

std::string option_spec(const OptionNames& option) {
  if (option.positional) return value_spec(option);
  const auto& names = option.names;
  std::vector<std::string> with_value;
  for (const auto& name : names)
    with_value.push_back(!option.takes_value ? name : name.starts_with("--") ? name + "=" : name + "+");
  std::string spec = option.repeatable ? "'*'" : names.size() > 1 ? "'(" + joined(names, " ") + ")'" : "";
  spec += names.size() > 1 ? "{" + joined(with_value, ",") + "}" : with_value.front();
  spec += zsh_quoted("[" + without_brackets(option.description) + "]");
  return option.takes_value ? spec + value_spec(option) : spec;
}

std::string function_of(const Command& command) {
  auto name = command.path.empty() ? std::string("_t2v") : "_t2v_" + command.path;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

std::string function(const Command& command) {
  const bool parent = !command.subcommands.empty();
  std::string text = function_of(command) + "() {\n";
  if (parent) text += "  local curcontext=$curcontext state line\n  local -a commands\n";
  text += std::string("  _arguments ") + (parent ? "-C" : "-s -S");
  for (const auto& option : command.options) text += " \\\n    " + option_spec(option);
  if (!parent) return text + "\n}\n\n";
  text += " \\\n    ': :->command' '*:: :->arguments'\n  case $state in\n    command)\n      commands=(\n";
  for (const auto& below : command.subcommands)
    text += "        " + zsh_quoted(below.name + ":" + below.description) + "\n";
  text +=
      "      )\n      _describe -t commands command commands ;;\n    arguments)\n      case $line[1] in\n";
  for (const auto& below : command.subcommands)
    text += "        " + below.name + ") " + function_of(below) + " ;;\n";
  return text + "      esac ;;\n  esac\n}\n\n";
}

}  // namespace

std::string zsh_completion(const Command& program) {
  std::string text = "#compdef t2v\n# zsh completion for t2v. Made by: t2v completion zsh\n\n";
  for (const auto* command : all_commands(program)) text += function(*command);
  return text + "if [[ $funcstack[1] == _t2v ]]; then _t2v \"$@\"; else compdef _t2v t2v; fi\n";
}

}  // namespace t2v
