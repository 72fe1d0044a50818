#include "cli/command_tree.h"

namespace t2v {

namespace {

constexpr const char* bash_head = R"(# bash completion for t2v. Made by: t2v completion bash

# _t2v_values WORDS [-f|-d]: completes $cur from the words, and from names of files or folders.
_t2v_values() {
  mapfile -t COMPREPLY < <(compgen -W "$1" ${2-} -- "$cur")
  if [[ ${2-} ]]; then compopt -o filenames 2>/dev/null; fi
}

_t2v() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= i
  # Bash cuts --flag=value into three words.
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi
)";

constexpr const char* tail = R"(  esac
}

complete -F _t2v t2v
)";

std::string values(const Values& values) {
  return "_t2v_values '" + joined(values.choices, " ") + "'" +
         (values.files == FileValues::files     ? " -f"
          : values.files == FileValues::folders ? " -d"
                                                : "");
}

bool is_known(const Values& values) { return !values.choices.empty() || values.files != FileValues::none; }

// After a flag its values; for a word that begins with - the flags; else subcommands or positional arguments.
std::string completions_of(const Command& command) {
  std::string text = "    '" + command.path + "')\n      case $prev in\n";
  for (const auto& option : command.options)
    if (!option.positional && option.takes_value)
      text += "        " + joined(option.names, " | ") + ") " +
              (is_known(option.values) ? values(option.values) + "; " : "") + "return ;;\n";
  text += "      esac\n";
  std::vector<std::string> names;
  for (const auto& below : command.subcommands) names.push_back(below.name);
  Values words = {names};
  for (const auto& option : command.options)
    if (option.positional && is_known(option.values)) words = option.values;
  const auto flags = "_t2v_values '" + flag_names(command) + "'";
  text += is_known(words) ? "      if [[ $cur == -* ]]; then " + flags + "; else " + values(words) + "; fi\n"
                          : "      " + flags + "\n";
  return text + "      ;;\n";
}

}  // namespace

std::string bash_completion(const Command& program) {
  std::string text = bash_head;
  text += "  for ((i = 1; i < COMP_CWORD; i++)); do\n    case \"$command ${COMP_WORDS[i]}\" in\n";
  for (const auto* command : all_commands(program)) {
    if (command->path.empty()) continue;
    const auto parents = command->path == command->name ? " " : "";  // of the first level the parent is empty
    text += "      '" + (parents + command->path) + "') command='" + command->path + "' ;;\n";
  }
  text += "    esac\n  done\n  case $command in\n";
  for (const auto* command : all_commands(program)) text += completions_of(*command);
  return text + tail;
}

}  // namespace t2v
