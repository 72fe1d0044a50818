// t2v(1), as roff
#include <algorithm>
#include <utility>

#include "cli/command_tree.h"

namespace t2v {

namespace {

// roff reads a backslash, a hyphen and quotes in its own way.
std::string roff(const std::string& text) {
  std::string all;
  for (const char c : text) {
    const auto name = c == '\\'   ? "\\e"
                      : c == '-'  ? "\\-"
                      : c == '\'' ? "\\(aq"
                      : c == '`'  ? "\\(ga"
                      : c == '^'  ? "\\(ha"
                      : c == '~'  ? "\\(ti"
                                  : nullptr;
    all += name != nullptr ? name : std::string(1, c);
  }
  return all;
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(at, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// In lines of at most 78 columns. One that begins with a dot would be a request.
std::string paragraph(const std::string& text) {
  std::string all, line;
  for (const auto& word : split(text, ' ')) {
    const auto next = roff(word);
    if (!line.empty() && line.size() + 1 + next.size() > 78) all += std::exchange(line, "") + "\n";
    if (line.empty())
      line = (next.starts_with('.') ? "\\&" : "") + next;
    else
      line += " " + next;
  }
  return all + line + "\n";
}

// A footer of --help: paragraphs, and indented lines that stay as they are.
std::string footer_text(const std::string& footer) {
  std::string text = ".PP\n";
  bool example = false;
  if (footer.empty()) return "";
  for (const auto& line : split(footer, '\n')) {
    const bool indented = line.starts_with("  ");
    if (indented != example) text += indented ? ".RS 4\n.nf\n" : ".fi\n.RE\n";
    example = indented;
    if (indented)
      text += roff(line.substr(2)) + "\n";
    else if (!line.empty())
      text += paragraph(line);
    else if (!text.ends_with(".PP\n"))
      text += ".PP\n";
  }
  return text + (example ? ".fi\n.RE\n" : "");
}

std::string option_text(const OptionNames& option) {
  std::string names;
  for (const auto& name : option.names) names += (names.empty() ? "\\fB" : ", \\fB") + roff(name) + "\\fR";
  std::string text = ".TP\n" + names;
  if (option.takes_value && !option.positional) text += " \\fI" + roff(option.value_name) + "\\fR";
  return text + "\n" +
         paragraph(option.description +
                   (option.fallback.empty() ? "" : " (default " + option.fallback + ")"));
}

std::string synopsis(const Command& command) {
  std::string text = "t2v " + command.path + (command.subcommands.empty() ? " [OPTIONS]" : " COMMAND");
  for (const auto& option : command.options)
    if (option.positional)
      text += " " + (option.required ? option.names.front() : "[" + option.names.front() + "]");
  return text;
}

std::string options_text(const Command& command) {
  std::string text, group;
  for (const auto& option : command.options) {
    if (option.group != group && option.group != "Options" && !option.positional)
      text += ".PP\n\\fI" + roff(option.group) + "\\fR\n";
    if (!option.positional) group = option.group;
    text += option_text(option);
  }
  return text;
}

}  // namespace

std::string manual_page(const Command& program, const std::string& version) {
  const auto summary = program.description.substr(program.description.find(": ") + 2);
  std::string text = ".\\\" Made by: t2v completion man\n.TH T2V 1 \"\" \"t2v " + version +
                     "\" \"User Commands\"\n";
  text += ".SH NAME\nt2v \\- " + roff(summary) + "\n";
  text += ".SH SYNOPSIS\n";
  for (const auto& command : program.subcommands) text += roff(synopsis(command)) + "\n.br\n";
  text += "t2v \\-\\-help | \\-\\-version\n";
  text += ".SH DESCRIPTION\n" + footer_text(program.footer).substr(4) + options_text(program);
  text += ".SH COMMANDS\n";
  for (const auto* command : all_commands(program)) {
    if (command->path.empty()) continue;
    text += ".SS " + roff(synopsis(*command)) + "\n" + paragraph(command->description + ".") +
            options_text(*command) + footer_text(command->footer);
  }
  text +=
      ".SH ENVIRONMENT\n.TP\n\\fBT2V_\\fISETTING\\fR\n"
      "Any setting of t2v generate and t2v batch, by its long name in capitals\nwith _ for \\-: T2V_STEPS.\n"
      ".TP\n\\fBT2V_MODELS\\fR\nFolder of the models that \\-\\-model finds by name.\n";
  return text;
}

}  // namespace t2v
