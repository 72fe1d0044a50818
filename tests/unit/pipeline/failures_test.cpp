#include "pipeline/run/failures.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <system_error>

namespace t2v {
namespace {

template <class Exception>
Error error_of(const Exception& exception) {
  return as_error(std::make_exception_ptr(exception));
}

c10::Error torch_error(const std::string& message) { return c10::Error({"f", "f.cpp", 1}, message); }

TEST(AsError, WhatAnAllocationFailureLooksLike) {
  std::vector<Error> errors = {
      error_of(std::bad_alloc()),
      error_of(std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again))),
      error_of(std::system_error(std::make_error_code(std::errc::not_enough_memory))),
      error_of(std::runtime_error("could not create a primitive")),  // oneDNN's own
      error_of(c10::OutOfMemoryError({"f", "f.cpp", 1}, "of the device"))};
  for (const char* message :
       {"[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
        "to allocate 9 bytes. Error code 12 (Cannot allocate memory)",
        "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: not enough memory: you tried to allocate "
        "9 "
        "bytes.",
        "could not create a memory object", "CUDA out of memory. Tried to allocate 20.00 MiB.",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"})
    errors.push_back(error_of(torch_error(message)));
  for (const auto& error : errors) {
    EXPECT_EQ(error.exit_code(), 5) << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with("out of memory. Ask for")) << error.what();
  }
}

TEST(AsError, AnErrorStaysAsItIs) {
  const auto error = error_of(Error(ErrorKind::bad_input, "a.mp4: is cut short"));
  EXPECT_EQ(error.exit_code(), 3);
  EXPECT_STREQ(error.what(), "a.mp4: is cut short");
}

TEST(AsError, EverythingElseIsADefect) {
  for (const auto& error :
       {error_of(torch_error("mat1 and mat2 shapes cannot be multiplied")), error_of(std::logic_error("x")),
        error_of(std::system_error(std::make_error_code(std::errc::io_error))), error_of(1)}) {
    EXPECT_EQ(error.exit_code(), 1);
    EXPECT_TRUE(std::string(error.what()).starts_with("internal error")) << error.what();
  }
}

TEST(IsCancellation, MeansTheSignals) {
  for (const auto kind : {ErrorKind::interrupted, ErrorKind::terminated, ErrorKind::hung_up})
    EXPECT_TRUE(is_cancellation({kind, ""}));
  EXPECT_FALSE(is_cancellation({ErrorKind::output, ""}));
}

}  // namespace
}  // namespace t2v
