// How a run tells what it is doing, and how it is told to stop: the only channel between a run and its
// surroundings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "t2v/export.h"

namespace t2v {

struct Progress {
  std::string stage;  // "load", "encode text", "denoise", "decode", "write"
  int64_t done = 0;   // units finished: steps while denoising, frames while decoding
  int64_t total = 0;  // 0: unknown
};

class T2V_API Observer {
 public:
  virtual ~Observer() = default;
  virtual void progress(const Progress&) {}
  // generate_all begins with a clip: its indices are those of ClipOutcome. It has no outcome yet.
  virtual void clip_started(std::size_t /*plan*/, std::size_t /*clip*/) {}
  // One line for a person: a rounded size, a cut prompt.
  virtual void note(const std::string&) {}
  // Called between steps and frames; throws Error{interrupted}, Error{terminated} or
  // Error{hung_up} to stop the run there.
  virtual void check_cancelled() {}
};

}  // namespace t2v
