// Progress on stderr: a bar on a terminal, plain lines elsewhere, JSON lines for programs; or on stdout for
// Open Job Description.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "t2v/observer.h"

namespace t2v {

// mode: auto, bar, plain, json, openjd, none. Throws Error{usage}. The observer stops a run when a signal has
// arrived.
std::unique_ptr<Observer> make_progress(const std::string& mode);

// `what` (a video, JSON) goes to stdout, where the lines of the mode openjd go too: nobody could tell them
// apart. Throws Error{usage} in that mode.
void require_own_stdout(const std::string& mode, const std::string& what);

// Runs `action`; in the mode openjd what it throws is told as openjd_fail before it goes on.
void telling_failure(const std::string& mode, const std::function<void()>& action);

// Help text of --progress.
extern const char* const progress_help;

}  // namespace t2v
