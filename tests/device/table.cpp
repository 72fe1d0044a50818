#include "table.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "base/cuda_library.h"

namespace t2v::test {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr double all_seconds = 300;

struct Stage {
  const char* name;
  const char* filter;  // of googletest
  double limit;        // seconds
};
// What matters most on a card first.
constexpr Stage stages[] = {
    {"text", "ShippedModel.Text", 20},
    {"transformer", "ShippedModel.Transformer", 20},
    {"VAE", "ShippedModel.Vae*", 40},
    {"sampling", "ShippedModel.Sampling", 60},
    {"golden runs", "*GoldenRun*", 45},
    {"parity", "*Parity*", 45},
    {"training", "*Training.*", 30},
    {"reported", "ShippedModel.*Reported", 60},
    {"unit", "-ShippedModel*:*GoldenRun*:*Parity*:*Training.*", 90},
};

struct Row {
  std::string name;
  std::optional<double> error, limit;
  std::string result;
  double seconds = 0;
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// How this program ended with these tests alone: "", "failed", or what stopped it.
std::string run_tests(const Stage& stage, const std::string& record, const std::string& log, double seconds) {
  const auto filter = std::string("--gtest_filter=") + stage.filter;
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  const pid_t child = ::fork();
  if (child == 0) {
    const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(output, 1);
    ::dup2(output, 2);
    ::setenv("T2V_TEST_RECORD", record.c_str(), 1);
    for (const int stop : {SIGINT, SIGTERM, SIGHUP})
      ::signal(stop, SIG_DFL);  // ignored where this runs behind
    ::execl(program.c_str(), program.c_str(), filter.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  if (child < 0) return "cannot be started";
  const auto begin = Clock::now();
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (seconds_since(begin) > seconds) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return "stopped after " + std::to_string(std::lround(seconds)) + " s";
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : "failed";
}

// The row that tests of a file share: tests/unit/nn/layers_test.cpp → "unit nn"; none for those that
// record().
std::string group_of(const std::string& file) {
  if (file.ends_with("stand_in_test.cpp")) return "stand-in for a card";
  const auto folder = file.substr(0, file.rfind('/'));
  const auto room = folder.substr(folder.rfind('/') + 1);
  return folder.find("unit/") == std::string::npos ? "" : "unit " + room;
}

Row& row_named(std::vector<Row>& rows, const std::string& name) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
  return found != rows.end()
             ? *found
             : rows.emplace_back(Row{.name = name, .error = {}, .limit = {}, .result = "", .seconds = 0});
}

// A stage's rows: one for each name that record() was given, one for each room of unit tests, and one for a
// test that failed without any, or during which the program ended.
void add_rows(std::vector<Row>& rows, const Stage& stage, const std::string& record, const std::string& ended,
              double seconds) {
  std::vector<Row> found;
  std::vector<std::string> of_test;  // names recorded since the last test began
  std::string running;
  std::ifstream lines(record);
  for (std::string text; std::getline(lines, text);) {
    const auto line = Json::parse(text, nullptr, false);
    if (line.contains("begins")) {
      running = line["begins"];
      of_test.clear();
    } else if (line.contains("stage")) {
      auto& row = row_named(found, line["stage"]);
      const double error = line["error"].is_number() ? line["error"].get<double>() : INFINITY;
      row.error = std::max(row.error.value_or(0), error);
      if (line.contains("limit")) row.limit = line["limit"].get<double>();
      if (std::find(of_test.begin(), of_test.end(), row.name) == of_test.end()) of_test.push_back(row.name);
    } else if (line.contains("test")) {
      running.clear();
      const auto group = group_of(line["file"]);
      if (!group.empty()) of_test = {group};
      const bool passed = line["result"] != "failed";
      if (of_test.empty() || (!passed && !group.empty())) of_test.push_back(line["test"]);
      for (const auto& name : of_test) {
        auto& row = row_named(found, name);
        row.seconds += line["seconds"].get<double>() / static_cast<double>(of_test.size());
        if (!passed) row.result = "failed";
      }
    }
  }
  for (auto& row : found)
    if (row.result.empty()) row.result = row.error && !row.limit ? "reported" : "ok";
  if (!running.empty() || (found.empty() && !ended.empty()))
    found.push_back({running.empty() ? stage.name : running, {}, {}, ended, seconds});
  else if (!ended.empty() &&
           std::none_of(found.begin(), found.end(), [](const Row& row) { return row.result == "failed"; }))
    found.push_back({stage.name, {}, {}, ended, seconds});
  rows.insert(rows.end(), found.begin(), found.end());
}

std::string number(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string text_of(const std::vector<Row>& rows, const Json& about) {
  std::string text;
  for (const auto& [key, value] : about.items())
    text += key + ": " + (value.is_string() ? value.get<std::string>() : value.dump()) + "\n";
  const auto line = [&](const std::string& name, const std::string& error, const std::string& limit,
                        const std::string& result, const std::string& seconds) {
    char columns[512];
    std::snprintf(columns, sizeof columns, "%-52s %10s %8s %9s  %s\n", name.c_str(), error.c_str(),
                  limit.c_str(), seconds.c_str(), result.c_str());
    text += columns;
  };
  text += "\n";
  line("stage", "error", "limit", "result", "seconds");
  for (const auto& row : rows)
    line(row.name, row.error ? number("%.1e", *row.error) : "", row.limit ? number("%.0e", *row.limit) : "",
         row.result, number("%.2f", row.seconds));
  return text;
}

Json json_of(const std::vector<Row>& rows, Json about) {
  for (const auto& row : rows) {
    Json json = {{"stage", row.name}, {"result", row.result}, {"seconds", row.seconds}};
    if (row.error) json["error"] = std::isfinite(*row.error) ? Json(*row.error) : Json("infinite");
    if (row.limit) json["limit"] = *row.limit;
    about["stages"].push_back(json);
  }
  return about;
}

}  // namespace

int make_table(const std::string& folder) {
  const char* device = std::getenv("T2V_TEST_DEVICE");
  const auto file = [&](const char* ending) { return folder + "/device-check." + ending; };
  const auto record = file("records");
  std::remove(file("log").c_str());
  const auto begin = Clock::now();
  std::vector<Row> rows;
  for (const auto& stage : stages) {
    const double left = all_seconds - seconds_since(begin);
    if (left < 1) {
      rows.push_back({stage.name, {}, {}, "not run: the time was up", 0});
      continue;
    }
    std::remove(record.c_str());
    const auto stage_begin = Clock::now();
    const auto ended = run_tests(stage, record, file("log"), std::min(stage.limit, left));
    add_rows(rows, stage, record, ended, seconds_since(stage_begin));
  }
  std::remove(record.c_str());

  const bool passed = std::all_of(rows.begin(), rows.end(), [](const Row& row) {
    return row.result == "ok" || row.result == "reported";
  });
  Json about = {{"device", device == nullptr ? "cpu" : device}, {"libtorch", TORCH_VERSION}};
  for (const auto& card : cuda_cards())
    about["cards"].push_back(card.name + ", " + std::to_string(card.memory_bytes >> 20) + " MiB");
  about["error"] =
      "largest absolute difference over the root mean square of the CPU's or the reference's tensor";
  about["seconds"] = std::round(seconds_since(begin) * 10) / 10;
  about["passed"] = passed;
  const auto text = text_of(rows, about);
  std::ofstream(file("txt")) << text;
  std::ofstream(file("json")) << json_of(rows, about).dump(2) << "\n";
  std::fputs(text.c_str(), stdout);
  return passed ? 0 : 1;
}

}  // namespace t2v::test
