#include "pipeline/failures.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>
#include <system_error>

namespace t2v {

namespace {

bool is_out_of_memory(const c10::Error& error) {
  const std::string what = error.what_without_backtrace();
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return true;
  for (const char* words :
       {"can't allocate memory", "not enough memory", "could not create a memory", "out of memory"})
    if (what.find(words) != std::string::npos) return true;
  return false;
}

}  // namespace

Error as_error(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ErrorKind::out_of_memory, "out of memory"};
  } catch (const c10::Error& error) {
    if (is_out_of_memory(error)) return {ErrorKind::out_of_memory, "out of memory"};
    return {ErrorKind::internal,
            std::string("internal error in libtorch: ") + error.what_without_backtrace()};
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again ||
        error.code() == std::errc::not_enough_memory)
      return {ErrorKind::out_of_memory, "out of memory"};
    return {ErrorKind::internal, std::string("internal error: ") + error.what()};
  } catch (const std::exception& error) {
    // oneDNN's own exception, which says no more than this when its scratch memory or its code cannot be
    // allocated.
    if (std::string(error.what()) == "could not create a primitive")
      return {ErrorKind::out_of_memory, "out of memory"};
    return {ErrorKind::internal, std::string("internal error: ") + error.what()};
  }
}

bool is_cancellation(const Error& error) {
  return error.kind() == ErrorKind::interrupted || error.kind() == ErrorKind::terminated;
}

}  // namespace t2v
