// Running the built program as a user would: arguments as they are (no shell), stdout and stderr apart, a
// clean environment, a time limit.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bytes.h"
#include "paths.h"

namespace t2v::test {

using Arguments = std::vector<std::string>;
using Environment = std::vector<std::pair<std::string, std::string>>;

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

struct ProgramResult {
  int code = -1;  // exit code; 1000 + signal when a signal killed it
  std::string out, err;
  double seconds = 0;
  long peak_megabytes = 0;
};

// What is unusual about a start.
struct Start {
  Arguments wrapper = {};  // a program, with its arguments, that is to start ours: strace -o …
  std::function<void()> prepare = nullptr;  // in the new process, before it becomes the program; stdin,
                                            // stdout and stderr are in place
};

// A started program. Its output goes to files in a folder of its own, so that no full pipe can stop it.
class Program {
 public:
  explicit Program(const Arguments& arguments, const Environment& extra = {},
                   const std::filesystem::path& folder = {}, const Start& start = {}) {
    Arguments words = start.wrapper;
    words.push_back(binary().string());
    words.insert(words.end(), arguments.begin(), arguments.end());
    const bool own_models = std::any_of(extra.begin(), extra.end(),
                                        [](const auto& variable) { return variable.first == "T2V_MODELS"; });
    Arguments variables;
    if (!own_models) variables.push_back("T2V_MODELS=" + (source_dir() / "models").string());
    for (const char* kept :
         {"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"})
      if (const char* value = std::getenv(kept)) variables.push_back(std::string(kept) + "=" + value);
    for (const auto& [name, value] : extra) variables.push_back(name + "=" + value);
    const auto pointers = [](Arguments& texts) {
      std::vector<char*> all;
      for (auto& text : texts) all.push_back(text.data());
      all.push_back(nullptr);
      return all;
    };
    auto argv = pointers(words);
    auto envp = pointers(variables);
    const auto out = output_ / "out", err = output_ / "err";
    start_ = std::chrono::steady_clock::now();
    process_ = ::fork();
    if (process_ < 0) throw std::runtime_error("fork failed");
    if (process_ == 0) {
      const int in = ::open("/dev/null", O_RDONLY);
      const int out_file = ::open(out.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
      const int err_file = ::open(err.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
      const bool ready = ::dup2(in, 0) == 0 && ::dup2(out_file, 1) == 1 && ::dup2(err_file, 2) == 2 &&
                         (folder.empty() || ::chdir(folder.c_str()) == 0);
      for (const int stop : {SIGINT, SIGTERM, SIGHUP})
        ::signal(stop, SIG_DFL);  // the tests may themselves run in the background, where SIGINT is ignored
      if (ready && start.prepare) start.prepare();
      if (ready) ::execvpe(argv[0], argv.data(), envp.data());
      ::_exit(127);
    }
  }
  ~Program() {
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void signal(int number) { ::kill(process_, number); }
  std::string err() const {
    return std::filesystem::exists(output_ / "err") ? bytes_of(output_ / "err") : "";
  }

  // Waits until stderr holds `text`. Throws after `limit` seconds.
  void wait_for(const std::string& text, double limit = 120) const {
    while (err().find(text) == std::string::npos) {
      if (seconds() > limit) throw std::runtime_error("'" + text + "' never came on stderr: " + err());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  // Waits for the end. Throws after `limit` seconds.
  ProgramResult finish(double limit = 180) {
    int status = 0;
    rusage usage{};
    while (::wait4(process_, &status, WNOHANG, &usage) == 0) {
      if (seconds() > limit) throw std::runtime_error("the program ran past its time limit: " + err());
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    process_ = -1;
    ProgramResult result;
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    result.seconds = seconds();
    result.peak_megabytes = usage.ru_maxrss / 1024;
    result.out = bytes_of(output_ / "out");
    result.err = err();
    return result;
  }

 private:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  TemporaryFolder output_;
  std::chrono::steady_clock::time_point start_;
  pid_t process_ = -1;
};

inline ProgramResult run_program(const Arguments& arguments, const Environment& extra = {},
                                 const std::filesystem::path& folder = {}, const Start& start = {}) {
  return Program(arguments, extra, folder, start).finish();
}

// t2v generate of a small, quick clip (5 frames, 2 steps, seed 3), and `more`.
inline Arguments quick_clip(const std::filesystem::path& output, const Arguments& more = {}) {
  Arguments arguments = {"generate", "--prompt", "a red circle bouncing on a navy background", "--output",
                         output.string()};
  const auto given = [&](const std::string& flag) {
    return std::find(more.begin(), more.end(), flag) != more.end();
  };
  if (!given("--steps")) arguments.insert(arguments.end(), {"--steps", "2"});
  if (!given("--frames") && !given("--seconds")) arguments.insert(arguments.end(), {"--frames", "5"});
  if (!given("--seed") && !given("--config")) arguments.insert(arguments.end(), {"--seed", "3"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace t2v::test
