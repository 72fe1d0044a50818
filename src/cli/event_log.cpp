#include "cli/event_log.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace t2v {

namespace {

std::string utc_time() {
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::system_clock::to_time_t(now);
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch())
                                .count() %
                            1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40], fraction[16];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(milliseconds));
  return std::string(text) + fraction;
}

}  // namespace

void EventLog::Close::operator()(std::FILE* file) const { std::fclose(file); }

EventLog::EventLog(const std::filesystem::path& path) : path_(path) {
  if (path.empty()) return;
  file_.reset(std::fopen(path.c_str(), "abe"));
  if (!file_)
    throw Error(ErrorKind::output, path.string() + ": cannot be written (" + std::strerror(errno) + ")");
}

void EventLog::write(nlohmann::ordered_json event) {
  if (!file_) return;
  nlohmann::ordered_json line = {{"time", utc_time()}};
  line.update(event);
  const auto text = line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0)
    throw Error(ErrorKind::output, path_.string() + ": cannot be written (" + std::strerror(errno) + ")");
}

}  // namespace t2v
