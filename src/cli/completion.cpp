// t2v completion: completions of shells, and the manual page
#include <algorithm>
#include <filesystem>

#include "cli/app.h"
#include "cli/command_tree.h"
#include "pipeline/components.h"
#include "t2v/generate.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

// Beside the default model. None where no model is installed.
std::vector<std::string> model_names() {
  std::vector<std::string> names;
  try {
    for (const auto& entry : fs::directory_iterator(fs::path(find_model(kDefaultModel)).parent_path()))
      if (fs::exists(entry.path() / "model_index.json")) names.push_back(entry.path().filename().string());
  } catch (const std::exception&) {
    return {};
  }
  std::sort(names.begin(), names.end());
  return names;
}

void print(const CLI::App& app, const std::string& what) {
  const auto program = read_command_tree(app, model_names());
  std::string text = what == "bash"   ? bash_completion(program)
                     : what == "zsh"  ? zsh_completion(program)
                     : what == "fish" ? fish_completion(program)
                                      : manual_page(program, version());
  text.pop_back();  // print_line has one
  print_line(text);
}

}  // namespace

void add_completion_command(CLI::App& app) {
  auto what = std::make_shared<std::string>();
  auto* command = app.add_subcommand("completion", "Print a shell's completion script, or the manual page");
  command->add_option("what", *what, "bash, zsh, fish, or man for the manual page")
      ->required()
      ->type_name("TEXT")
      ->check(CLI::IsMember({"bash", "zsh", "fish", "man"}));
  command->footer(
      "cmake --install and the Debian package put all four into their places.\n\n"
      "Examples:\n"
      "  source <(t2v completion bash)\n"
      "  source <(t2v completion zsh)\n"
      "  t2v completion fish | source\n"
      "  t2v completion man | man -l -");
  command->callback([&app, what] { print(app, *what); });
}

}  // namespace t2v
