// Progress on stderr: a bar on a terminal, plain lines elsewhere, JSON lines for programs.
#pragma once

#include <memory>
#include <string>

#include "t2v/observer.h"

namespace t2v {

// mode: auto, bar, plain, json, none. Throws Error{usage}. The observer stops a run when a signal has arrived.
std::unique_ptr<Observer> make_progress(const std::string& mode);

// Help text of --progress.
extern const char* const progress_help;

}  // namespace t2v
