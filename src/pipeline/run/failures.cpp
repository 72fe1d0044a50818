#include "pipeline/run/failures.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <iterator>
#include <new>
#include <string>
#include <system_error>

namespace t2v {

namespace {

// What says "out of memory" in a message only: libtorch's allocators on the CPU and on CUDA, oneDNN (which
// says no more than the last one when it gets no scratch memory or cannot allocate its code), and the
// statuses of cuBLAS, cuSOLVER and cuDNN, 9 included.
constexpr const char* out_of_memory_phrases[] = {
    "can't allocate memory",        "not enough memory",   "out of memory",    "could not create a memory",
    "could not create a primitive", "STATUS_ALLOC_FAILED", "ALLOCATION_FAILED"};

bool says_out_of_memory(const std::string& message) {
  return std::any_of(std::begin(out_of_memory_phrases), std::end(out_of_memory_phrases),
                     [&](const char* phrase) { return message.find(phrase) != std::string::npos; });
}

Error out_of_memory() {
  return {ErrorKind::out_of_memory,
          "out of memory. Ask for fewer frames or a smaller size (t2v generate --dry-run shows what a clip "
          "needs), or use --dtype bfloat16; in training, lower tokens_per_lane or pixels_per_lane, or set "
          "gradient_checkpointing"};
}

}  // namespace

Error as_error(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr || says_out_of_memory(what))
      return out_of_memory();
    return {ErrorKind::internal, "internal error in libtorch: " + what};
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again ||
        error.code() == std::errc::not_enough_memory)
      return out_of_memory();
    return {ErrorKind::internal, std::string("internal error: ") + error.what()};
  } catch (const std::exception& error) {
    if (says_out_of_memory(error.what())) return out_of_memory();
    return {ErrorKind::internal, std::string("internal error: ") + error.what()};
  } catch (...) {
    return {ErrorKind::internal, "internal error: an exception of an unknown kind"};
  }
}

bool is_cancellation(const Error& error) {
  return error.kind() == ErrorKind::interrupted || error.kind() == ErrorKind::terminated ||
         error.kind() == ErrorKind::hung_up;
}

}  // namespace t2v
