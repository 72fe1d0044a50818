// What a caught exception means: for a clip, and for the program's exit code.
#pragma once

#include <exception>

#include "t2v/error.h"

namespace t2v {

// An Error as it is; other exceptions (the standard library's, libtorch's, those of CUDA's libraries and
// oneDNN) as the Error they amount to: an allocation or a thread that was not to be had is out_of_memory,
// with a message that says what to ask less of; everything else is a defect (internal).
Error as_error(const std::exception_ptr& exception);

// Whether the run was told to stop.
bool is_cancellation(const Error& error);

}  // namespace t2v
