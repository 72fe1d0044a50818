# t2v::torch: libtorch 2.11 or newer. -DTorch_ROOT=DIR names a folder with include/ and lib/; without it the newest one in the cache is taken.
# libtorch's own TorchConfig.cmake insists on a CUDA toolkit whenever the wheel was built with CUDA; t2v calls no CUDA code itself, and loads
# libtorch_cuda at run time where it stands beside libtorch_cpu (src/base/cuda_library.h).
if(NOT Torch_ROOT)
  file(GLOB _candidates ${T2V_CACHE}/torch-*)
  list(SORT _candidates COMPARE NATURAL ORDER DESCENDING)
  if(_candidates)
    list(GET _candidates 0 Torch_ROOT)
  endif()
endif()
if(NOT EXISTS "${Torch_ROOT}/include/ATen/ATen.h")
  message(FATAL_ERROR "libtorch was not found (Torch_ROOT='${Torch_ROOT}'). Run tools/quickstart, which installs it, or pass -DTorch_ROOT=DIR with DIR/include and DIR/lib.")
endif()
file(STRINGS "${Torch_ROOT}/include/torch/headeronly/version.h" _version_lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR) ")
string(REGEX REPLACE ".*TORCH_VERSION_MAJOR ([0-9]+).*TORCH_VERSION_MINOR ([0-9]+).*" "\\1.\\2" T2V_TORCH_VERSION "${_version_lines}")
if(T2V_TORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "libtorch ${T2V_TORCH_VERSION} at ${Torch_ROOT} is too old: t2v needs 2.11 or newer.")
endif()
message(STATUS "libtorch ${T2V_TORCH_VERSION}: ${Torch_ROOT}")

add_library(t2v::torch INTERFACE IMPORTED GLOBAL)
target_include_directories(t2v::torch SYSTEM INTERFACE ${Torch_ROOT}/include ${Torch_ROOT}/include/torch/csrc/api/include)
# libtorch's checks put the header's name into the message, and so into our binaries: without the machine's folders.
target_compile_options(t2v::torch INTERFACE -fmacro-prefix-map=${Torch_ROOT}/include/=)
target_link_directories(t2v::torch INTERFACE ${Torch_ROOT}/lib)
target_link_options(t2v::torch INTERFACE -Wl,-rpath-link,${Torch_ROOT}/lib -Wl,--allow-shlib-undefined)
target_link_libraries(t2v::torch INTERFACE ${Torch_ROOT}/lib/libtorch_cpu.so ${Torch_ROOT}/lib/libc10.so)
