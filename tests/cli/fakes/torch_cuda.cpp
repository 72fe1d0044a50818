// In the place of libtorch_cuda.so: says that there are as many cards as T2V_FAKE_CARDS counts, and can do
// nothing.
#include <ATen/detail/CUDAHooksInterface.h>

#include <cstdlib>

namespace {

// libtorch looks for it by this name.
struct CUDAHooks : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  bool hasCUDA() const override { return cards() > 0; }
  at::DeviceIndex deviceCount() const override { return static_cast<at::DeviceIndex>(cards()); }
  int getNumGPUs() const override { return cards(); }
  static int cards() {
    const char* count = std::getenv("T2V_FAKE_CARDS");
    return count == nullptr ? 0 : std::atoi(count);
  }
};

using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks)

}  // namespace
