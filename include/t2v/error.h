// The one error type of t2v. Its kind is the exit code of the program.
#pragma once

#include <stdexcept>
#include <string>

#include "t2v/export.h"

namespace t2v {

enum class ErrorKind : int {
  internal = 1,   // a defect of t2v
  usage = 2,      // flags, prompt, config file, request
  bad_input = 3,  // model folder, tensor file, image or video
  output = 4,     // the output could not be written
  out_of_memory = 5,
  non_finite = 6,     // NaN or infinity while denoising or decoding
  partial = 7,        // a batch finished with failed items
  hung_up = 129,      // SIGHUP
  interrupted = 130,  // SIGINT
  terminated = 143,   // SIGTERM
};

// The message says what was expected, what was found, where, and what to do next.
class T2V_API Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

}  // namespace t2v
