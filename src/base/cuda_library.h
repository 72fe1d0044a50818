// libtorch's part for CUDA, and NVIDIA's driver. The program is linked with neither: where both are there,
// they are loaded at run time, and libtorch's dispatcher does the rest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace t2v {

struct CudaLibrary {
  enum class State { absent, no_driver, old_driver, broken, loaded };
  State state = State::absent;
  std::string torch_folder;  // where libtorch_cpu.so was loaded from; empty in a program without it
  std::string reason;        // of no_driver and broken: what the loader says; of old_driver: the versions
};

// Loads libtorch_cuda.so from beside libtorch_cpu.so where NVIDIA's driver (libcuda.so.1) can run it.
// Once; before anything asks libtorch about CUDA, because it keeps the first answer.
const CudaLibrary& load_cuda_library();

struct CudaCard {
  std::string name;
  int64_t memory_bytes = 0;
  bool bfloat16 = false;  // products in hardware: compute capability 8.0 and newer
};
// As the driver lists them; none where it is absent or does not work.
std::vector<CudaCard> cuda_cards();

// Why libtorch finds no CUDA device, and what to install: a sentence or two.
std::string why_no_cuda_device();

}  // namespace t2v
