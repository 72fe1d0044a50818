// Progress on stderr: a bar on a terminal, plain lines elsewhere, JSON lines for programs; or on stdout for
// Open Job Description.
#pragma once

#include <memory>
#include <string>

#include "t2v/error.h"
#include "t2v/observer.h"

namespace t2v {

// mode: auto, bar, plain, json, openjd, none. Throws Error{usage}. The observer stops a run when a signal has
// arrived.
std::unique_ptr<Observer> make_progress(const std::string& mode);

void tell_failure(const std::string& mode, const std::string& error);

// Runs `action`; in the mode openjd an Error is told as openjd_fail before it goes on.
template <class Action>
void telling_failure(const std::string& mode, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    tell_failure(mode, error.what());
    throw;
  }
}

// Help text of --progress.
extern const char* const progress_help;

}  // namespace t2v
