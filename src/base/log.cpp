#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace t2v {

void set_up_logging() {
  auto logger = spdlog::stderr_color_mt("t2v");
  logger->set_pattern("%^%l%$: %v");
  spdlog::set_default_logger(logger);
}

}  // namespace t2v
