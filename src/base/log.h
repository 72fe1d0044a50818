// Logging for people, on stderr: spdlog with the level set once by the command line.
#pragma once

#include <spdlog/spdlog.h>

namespace t2v {

// Plain "warning: …" lines on stderr, no timestamps. Call once, from main.
void set_up_logging();

}  // namespace t2v
