// The command line: one subcommand per file; parsing and printing only.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <string>

namespace t2v {

// Runs the program and returns its exit code. Every error ends here, as its message and exit code.
int run_command_line(int argc, char** argv);

// Each adds its subcommand to `app`; what it does runs from a callback after parsing.
void add_generate_command(CLI::App& app);
void add_batch_command(CLI::App& app);
void add_decode_command(CLI::App& app);
void add_encode_command(CLI::App& app);
void add_info_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_train_command(CLI::App& app);
void add_world_command(CLI::App& app);
void add_bench_command(CLI::App& app);
void add_report_command(CLI::App& app);
// After the others, which it describes.
void add_completion_command(CLI::App& app);

// One line of data on stdout, flushed. Throws Error{output} when stdout is closed or full.
void print_line(const std::string& line);

}  // namespace t2v
