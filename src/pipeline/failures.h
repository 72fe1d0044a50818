// What a caught exception means for a clip.
#pragma once

#include <exception>

#include "t2v/error.h"

namespace t2v {

// An Error as it is; libtorch's and the standard library's exceptions as the Error they amount to: an
// allocation that failed is out_of_memory, everything else a defect (internal).
Error as_error(const std::exception_ptr& exception);

// Whether the run was told to stop.
bool is_cancellation(const Error& error);

}  // namespace t2v
