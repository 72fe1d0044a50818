#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "base/utf8.h"

namespace t2v {

void set_up_logging() {
  auto logger = spdlog::stderr_color_mt("t2v");
  logger->set_pattern("%^%l%$: %v");
  spdlog::set_default_logger(logger);
}

void log_info(const std::string& message) { spdlog::info("{}", printable(message)); }
void log_warning(const std::string& message) { spdlog::warn("{}", printable(message)); }
void log_error(const std::string& message) { spdlog::error("{}", printable(message)); }

}  // namespace t2v
