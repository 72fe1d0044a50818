#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>

#include "base/json.h"
#include "base/log.h"
#include "base/signals.h"
#include "pipeline/run/failures.h"

namespace t2v {

const char* const progress_help =
    "auto (a bar on a terminal, lines elsewhere), bar, plain, json, openjd (Open Job Description, on stdout) "
    "or none";

namespace {

using Clock = std::chrono::steady_clock;

std::string duration(double seconds) {
  char text[32];
  if (seconds < 60)
    std::snprintf(text, sizeof text, "%.0f s", seconds);
  else if (seconds < 3600)
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  else
    std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
  return text;
}

class SignalObserver : public Observer {
 public:
  void check_cancelled() override { throw_if_signalled(); }
  void note(const std::string& line) override { log_info(line); }
};

// How fast each stage goes, from when it was first heard of.
class Pace {
 public:
  void update(const Progress& progress) {
    const auto [found, is_new] = stages_.try_emplace(progress.stage);
    auto& stage = found->second;
    if (is_new || progress.done < stage.last_done) stage = {Clock::now(), progress.done, progress.done};
    stage.last_done = progress.done;
  }
  // ", 0.5 s/step, 12 s left"; nothing before the second report.
  std::string text(const Progress& progress) const {
    const auto& stage = stages_.at(progress.stage);
    const auto units = stage.last_done - stage.first_done;
    if (units <= 0 || progress.stage == "load") return "";
    const double each = std::chrono::duration<double>(Clock::now() - stage.start).count() /
                        static_cast<double>(units);
    std::string line;
    if (!progress.stage.starts_with("train ")) {  // which counts in thousandths of its schedule
      const char* unit = progress.stage == "denoise"              ? "step"
                         : progress.stage == "clips"              ? "clip"
                         : progress.stage.starts_with("prepare ") ? "shard"
                                                                  : "frame";
      char text[64];
      std::snprintf(text, sizeof text, ", %.3g s/%s", each, unit);
      line = text;
    }
    if (progress.total > progress.done)
      line.append(", ")
          .append(duration(each * static_cast<double>(progress.total - progress.done)))
          .append(" left");
    return line;
  }

 private:
  struct Stage {
    Clock::time_point start;
    int64_t first_done = 0, last_done = 0;
  };
  std::map<std::string, Stage> stages_;
};

class PlainProgress : public SignalObserver {
 public:
  void progress(const Progress& progress) override {
    pace_.update(progress);
    const bool last = progress.done == progress.total;
    const auto now = Clock::now();
    if (progress.stage == stage_ && !last && now - printed_ < std::chrono::seconds(5)) return;
    stage_ = progress.stage;
    printed_ = now;
    std::string line = progress.stage;
    line.append(" ").append(std::to_string(progress.done));
    if (progress.total > 0) line.append("/").append(std::to_string(progress.total));
    std::fprintf(stderr, "%s%s\n", line.c_str(), pace_.text(progress).c_str());
  }

 private:
  Pace pace_;
  std::string stage_;
  Clock::time_point printed_;
};

class BarProgress : public SignalObserver {
 public:
  ~BarProgress() override { clear(); }
  void progress(const Progress& progress) override {
    pace_.update(progress);
    constexpr std::size_t width = 24;
    const auto filled = progress.total > 0 ? std::min(width, width * static_cast<std::size_t>(progress.done) /
                                                                 static_cast<std::size_t>(progress.total))
                                           : 0;
    std::fprintf(stderr, "\r\033[K%-7s [%s%s] %lld/%lld%s", progress.stage.c_str(),
                 std::string(filled, '#').c_str(), std::string(width - filled, '.').c_str(),
                 static_cast<long long>(progress.done), static_cast<long long>(progress.total),
                 pace_.text(progress).c_str());
    std::fflush(stderr);
    shown_ = true;
    if (progress.total > 0 && progress.done == progress.total && progress.stage != "load") {
      std::fputc('\n', stderr);
      shown_ = false;
    }
  }
  void note(const std::string& line) override {
    clear();
    SignalObserver::note(line);
  }

 private:
  void clear() {
    if (shown_) std::fputs("\r\033[K", stderr);
    shown_ = false;
  }
  Pace pace_;
  bool shown_ = false;
};

class JsonProgress : public SignalObserver {
 public:
  void progress(const Progress& progress) override {
    print({{"event", "progress"},
           {"stage", progress.stage},
           {"done", progress.done},
           {"total", progress.total}});
  }
  void note(const std::string& line) override { print({{"event", "note"}, {"text", line}}); }

 private:
  static void print(const Json& json) {
    std::fprintf(stderr, "%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  }
};

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

// Lines that a render manager reads on stdout. Source: Open Job Description specification, "How Jobs Are
// Run".
class OpenJdProgress : public SignalObserver {
 public:
  void progress(const Progress& progress) override {
    if (progress.total <= 0) return;
    const double share = static_cast<double>(progress.done) / static_cast<double>(progress.total);
    if (progress.stage == "clips") {
      clips_ = progress.total;
      clips_done_ = progress.done;
      within_clip_ = 0;
    } else if (progress.stage == "denoise") {
      within_clip_ = share;
    }
    const auto percent = std::min(
        100.0, 100 * (static_cast<double>(clips_done_) + within_clip_) / static_cast<double>(clips_));
    if (percent < told_ + 0.1) return;  // a render manager shows whole percents
    told_ = percent;
    std::printf("openjd_progress: %.1f\n", percent);
    std::fflush(stdout);
  }
  void note(const std::string& line) override {
    std::printf("openjd_status: %s\n", one_line(line).c_str());
    std::fflush(stdout);
  }

 private:
  int64_t clips_ = 1, clips_done_ = 0;
  double within_clip_ = 0, told_ = 0;
};

}  // namespace

void require_own_stdout(const std::string& mode, const std::string& what) {
  if (mode == "openjd")
    throw Error(ErrorKind::usage,
                "--progress openjd writes its lines to stdout, where " + what +
                    " goes as well; leave out one of the two, or take --progress json, which "
                    "goes to stderr");
}

void telling_failure(const std::string& mode, const std::function<void()>& action) {
  try {
    action();
  } catch (...) {
    if (mode == "openjd") {
      std::printf("openjd_fail: %s\n", one_line(as_error(std::current_exception()).what()).c_str());
      std::fflush(stdout);
    }
    throw;
  }
}

std::unique_ptr<Observer> make_progress(const std::string& mode) {
  if (mode == "bar" || (mode == "auto" && isatty(STDERR_FILENO) != 0)) return std::make_unique<BarProgress>();
  if (mode == "plain" || mode == "auto") return std::make_unique<PlainProgress>();
  if (mode == "json") return std::make_unique<JsonProgress>();
  if (mode == "openjd") return std::make_unique<OpenJdProgress>();
  if (mode == "none") return std::make_unique<SignalObserver>();
  throw Error(ErrorKind::usage,
              "--progress should be auto, bar, plain, json, openjd or none, found '" + mode + "'");
}

}  // namespace t2v
