#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/json.h"
#include "base/log.h"
#include "base/signals.h"

namespace t2v {

const char* const progress_help = "auto (a bar on a terminal, lines elsewhere), bar, plain, json or none";

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

// How fast a stage goes, from when it was first heard of.
class Pace {
 public:
  void update(const Progress& progress) {
    if (progress.stage != stage_ || progress.done < last_done_) {
      stage_ = progress.stage;
      start_ = Clock::now();
      first_done_ = progress.done;
    }
    last_done_ = progress.done;
  }
  // Seconds a unit, 0 before the second report.
  double per_unit() const {
    const auto units = last_done_ - first_done_;
    return units > 0 ? std::chrono::duration<double>(Clock::now() - start_).count() / static_cast<double>(units) : 0;
  }

 private:
  std::string stage_;
  int64_t first_done_ = 0, last_done_ = 0;
  Clock::time_point start_ = Clock::now();
};

std::string pace_text(const Pace& pace, const Progress& progress) {
  const double each = pace.per_unit();
  if (each == 0 || progress.stage == "load") return "";
  char text[64];
  std::snprintf(text, sizeof text, ", %.3g s/%s", each, progress.stage == "denoise" ? "step" : "frame");
  std::string line = text;
  if (progress.total > progress.done)
    line.append(", ").append(duration(each * static_cast<double>(progress.total - progress.done))).append(" left");
  return line;
}

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
    std::fprintf(stderr, "%s%s\n", line.c_str(), pace_text(pace_, progress).c_str());
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
    const auto filled = progress.total > 0
                            ? std::min(width, width * static_cast<std::size_t>(progress.done) / static_cast<std::size_t>(progress.total))
                            : 0;
    std::fprintf(stderr, "\r\033[K%-7s [%s%s] %lld/%lld%s", progress.stage.c_str(), std::string(filled, '#').c_str(),
                 std::string(width - filled, '.').c_str(), static_cast<long long>(progress.done), static_cast<long long>(progress.total),
                 pace_text(pace_, progress).c_str());
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
    print({{"event", "progress"}, {"stage", progress.stage}, {"done", progress.done}, {"total", progress.total}});
  }
  void note(const std::string& line) override { print({{"event", "note"}, {"text", line}}); }

 private:
  static void print(const Json& json) { std::fprintf(stderr, "%s\n", json.dump(-1, ' ', false, Json::error_handler_t::replace).c_str()); }
};

}  // namespace

std::unique_ptr<Observer> make_progress(const std::string& mode) {
  if (mode == "bar" || (mode == "auto" && isatty(STDERR_FILENO) != 0)) return std::make_unique<BarProgress>();
  if (mode == "plain" || mode == "auto") return std::make_unique<PlainProgress>();
  if (mode == "json") return std::make_unique<JsonProgress>();
  if (mode == "none") return std::make_unique<SignalObserver>();
  throw Error(ErrorKind::usage, "--progress should be auto, bar, plain, json or none, found '" + mode + "'");
}

}  // namespace t2v
