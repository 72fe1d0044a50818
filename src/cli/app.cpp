#include "cli/app.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include "base/log.h"
#include "base/signals.h"
#include "base/utf8.h"
#include "pipeline/run/failures.h"
#include "t2v/error.h"
#include "t2v/generate.h"

namespace t2v {

namespace {

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string without_newlines(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// The arguments, last first, as CLI11 takes them. It reads "--prompt=" as a flag without its value, and would
// take the next argument for that.
std::vector<std::string> reversed_arguments(int argc, char** argv) {
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool empty_value = argument.starts_with("--") && argument.find('=') == argument.size() - 1;
    arguments.push_back(empty_value ? argument.substr(0, argument.size() - 1) : argument);
    if (empty_value) arguments.emplace_back();
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

// CLI11's message, with the nearest name where something is unknown.
std::string usage_message(const CLI::App& app, const CLI::ParseError& error) {
  const auto used = app.get_subcommands();
  const CLI::App& command = used.empty() ? app : *used.front();
  std::string message = without_newlines(error.what());
  const auto extras = app.remaining(true);
  // A misspelt subcommand is reported by CLI11 as a missing one.
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr || (used.empty() && !extras.empty())) {
    const auto unknown = extras.empty() ? std::string() : extras.front().substr(0, extras.front().find('='));
    const bool flag = unknown.starts_with("-");
    std::vector<std::string> names = option_names(command);
    if (!flag && used.empty()) {
      names.clear();
      for (const auto* subcommand : app.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(subcommand->get_name());
    }
    const auto near = nearest_name(unknown, names);
    message = (flag ? "unknown flag '" : "unknown argument '") + unknown + "'" +
              (near ? "; did you mean '" + *near + "'?" : "");
  }
  return message + (message.ends_with('?') ? " See t2v " : ". See t2v ") +
         (used.empty() ? "" : command.get_name() + " ") + "--help";
}

// What `t2v` alone says.
int report_first_words() {
  log_error("t2v needs a subcommand. A first clip:");
  std::fputs(
      "  t2v generate \"a red circle bouncing on a navy background\" -o clip.mp4\n"
      "t2v --help lists the subcommands, t2v generate --help every flag of one.\n"
      "t2v info shows the program, its devices and its model; t2v info clip.mp4 how a clip was made.\n"
      "man t2v and README.md, with docs/ beside it, have the rest.\n",
      stderr);
  return static_cast<int>(ErrorKind::usage);
}

int report(ErrorKind kind, const std::string& message) {
  log_error(message);
  return static_cast<int>(kind);
}

}  // namespace

void print_line(const std::string& line) {
  const auto text = line + "\n";  // in one call, so that no other thread's output falls between
  const bool fine = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
                    std::fflush(stdout) == 0;
  if (!fine)
    throw Error(ErrorKind::output, std::string("stdout: cannot be written (") + std::strerror(errno) + ")");
}

int run_command_line(int argc, char** argv) {
  set_up_logging();
  if (argc == 1) return report_first_words();
  install_signal_handlers();
  CLI::App app("t2v " + version() + ": text to video", "t2v");
  app.set_version_flag("--version", "t2v " + version());
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 internal error, 2 usage, 3 bad model or input file, 4 output not written,\n"
      "5 out of memory, 6 NaN or infinity, 7 a batch with failed items,\n"
      "129 / 130 / 143 stopped by SIGHUP / Ctrl-C / SIGTERM.\n"
      "Progress and messages go to stderr, data (paths of finished files, or the video with -o -) to "
      "stdout.");
  add_generate_command(app);
  add_batch_command(app);
  add_report_command(app);
  add_decode_command(app);
  add_encode_command(app);
  add_info_command(app);
  add_eval_command(app);
  add_train_command(app);
  add_world_command(app);
  add_bench_command(app);
  add_completion_command(app);
  try {
    app.parse(reversed_arguments(argc, argv));
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return report(ErrorKind::usage, usage_message(app, error));
  } catch (...) {
    const auto error = as_error(std::current_exception());
    return report(error.kind(), error.what());
  }
}

}  // namespace t2v
