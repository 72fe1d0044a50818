// --log-json: what happened when, a JSON object a line, appended to a file.
#pragma once

#include <filesystem>
#include <memory>

#include "base/json.h"
#include "t2v/observer.h"

namespace t2v {

class EventLog {
 public:
  // Throws Error{output} when the file cannot be opened. Without a path, write() does nothing.
  explicit EventLog(const std::filesystem::path& path);

  // Adds the time (UTC, ISO 8601). Throws Error{output}.
  void write(nlohmann::ordered_json event);

 private:
  struct Close {
    void operator()(std::FILE* file) const;
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::filesystem::path path_;
};

}  // namespace t2v
