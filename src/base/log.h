// Messages for people, on stderr: "info: …", "warning: …", "error: …". spdlog underneath; its headers stay
// out of this one, because libtorch brings another version of the fmt library that spdlog includes. Messages
// may hold names out of hostile files: control characters are shown as U+FFFD.
#pragma once

#include <string>

namespace t2v {

// Call once, from main.
void set_up_logging();

void log_info(const std::string& message);
void log_warning(const std::string& message);
void log_error(const std::string& message);

}  // namespace t2v
