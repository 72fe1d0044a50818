#include "cli/command_tree.h"

namespace t2v {

namespace {

constexpr const char* fish_head = R"(# fish completion for t2v. Made by: t2v completion fish

# Whether the words before the cursor name this command: __t2v_at eval world
function __t2v_at
    set -l command
    for word in (commandline -opc)[2..]
        switch "$command $word"
)";

constexpr const char* tail = R"(        end
    end
    test "$command" = "$argv"
end

complete -c t2v -f
)";

std::string fish_quoted(const std::string& text) {
  std::string all = "'";
  for (const char c : text) all += (c == '\'' || c == '\\' ? "\\" : "") + std::string(1, c);
  return all + "'";
}

std::string value_switches(const Values& values) {
  std::string text = values.files == FileValues::none ? "" : " -F";
  if (values.files == FileValues::folders)
    text = " -a '" + joined(values.choices, " ") + " (__fish_complete_directories)'";
  else if (!values.choices.empty())
    text += " -a '" + joined(values.choices, " ") + "'";
  return text;
}

std::string completions_of(const Command& command) {
  const std::string begin = "complete -c t2v -n '__t2v_at " + command.path + "'";
  std::string text;
  for (const auto& below : command.subcommands)
    text += begin + " -a " + below.name + " -d " + fish_quoted(below.description) + "\n";
  for (const auto& option : command.options) {
    const auto values = option.takes_value ? value_switches(option.values) : std::string();
    if (option.positional) {
      if (!values.empty()) text += begin + values + "\n";
      continue;
    }
    text += begin;
    for (const auto& name : option.names)
      text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    const bool files = option.takes_value && option.values.files == FileValues::files;
    text += (files                ? " -r"
             : option.takes_value ? " -x"
                                  : "") +
            values + " -d " + fish_quoted(option.description) + "\n";
  }
  return text;
}

}  // namespace

std::string fish_completion(const Command& program) {
  std::string text = fish_head;
  for (const auto* command : all_commands(program)) {
    if (command->path.empty()) continue;
    const auto parents = command->path == command->name ? " " : "";  // of the first level the parent is empty
    text += "            case '" + (parents + command->path) + "'\n                set command '" +
            command->path + "'\n";
  }
  text += tail;
  for (const auto* command : all_commands(program)) text += completions_of(*command);
  return text;
}

}  // namespace t2v
