#include "base/cuda_library.h"

#include <dlfcn.h>
#include <link.h>

#include <filesystem>
#include <system_error>

namespace t2v {

namespace fs = std::filesystem;

namespace {

constexpr const char* driver_library = "libcuda.so.1";
constexpr int compute_capability_major = 75;  // CUdevice_attribute

// Where the program's libtorch_cpu.so was found.
std::string torch_folder() {
  std::string folder;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        const fs::path path = info->dlpi_name;
        if (path.filename() != "libtorch_cpu.so") return 0;
        *static_cast<std::string*>(found) = path.parent_path().string();
        return 1;
      },
      &folder);
  return folder;
}

// A function of a library that is loaded, or nullptr.
template <class Function>
Function* function_of(const char* library, const char* name) {
  auto* handle = ::dlopen(library, RTLD_NOW);
  return handle == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(handle, name));
}

// 13000 is CUDA 13.0; 0 where the library does not say.
int version_of(const char* library, const char* name) {
  auto* const ask = function_of<int(int*)>(library, name);
  int version = 0;
  return ask != nullptr && ask(&version) == 0 ? version : 0;
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// The CUDA that libtorch was built for, by the runtime library that libtorch_cpu is linked with; 0 without
// one.
int runtime_version() {
  for (const char* library : {"libcudart.so.12", "libcudart.so.13", "libcudart.so.14"})
    if (::dlopen(library, RTLD_NOW | RTLD_NOLOAD) != nullptr)
      return version_of(library, "cudaRuntimeGetVersion");
  return 0;
}

CudaLibrary load() {
  using State = CudaLibrary::State;
  CudaLibrary library;
  library.torch_folder = torch_folder();
  const auto path = fs::path(library.torch_folder) / "libtorch_cuda.so";
  std::error_code failed;
  if (library.torch_folder.empty() || !fs::exists(path, failed)) return library;
  const auto loads = [&](const char* name, int flags) {
    if (::dlopen(name, flags) != nullptr) return true;
    library.reason = ::dlerror();
    return false;
  };
  if (!loads(driver_library, RTLD_NOW)) {
    library.state = State::no_driver;
    return library;
  }
  // A driver runs what was built for a CUDA of its own major version or an older one.
  const int driver = version_of(driver_library, "cuDriverGetVersion"), runtime = runtime_version();
  if (driver > 0 && driver / 1000 < runtime / 1000) {
    library.state = State::old_driver;
    library.reason = "the driver is for CUDA " + version_text(driver) + ", this libtorch for CUDA " +
                     version_text(runtime);
    return library;
  }
  library.state = loads(path.c_str(), RTLD_NOW | RTLD_GLOBAL) ? State::loaded : State::broken;
  return library;
}

}  // namespace

const CudaLibrary& load_cuda_library() {
  static const CudaLibrary library = load();
  return library;
}

std::vector<CudaCard> cuda_cards() {
  auto* const init = function_of<int(unsigned)>(driver_library, "cuInit");
  auto* const count_devices = function_of<int(int*)>(driver_library, "cuDeviceGetCount");
  auto* const get_name = function_of<int(char*, int, int)>(driver_library, "cuDeviceGetName");
  auto* const get_attribute = function_of<int(int*, int, int)>(driver_library, "cuDeviceGetAttribute");
  auto* const get_memory = function_of<int(std::size_t*, int)>(driver_library, "cuDeviceTotalMem_v2");
  int count = 0;
  if (init == nullptr || count_devices == nullptr || get_name == nullptr || get_memory == nullptr ||
      get_attribute == nullptr || init(0) != 0 || count_devices(&count) != 0)
    return {};
  std::vector<CudaCard> cards;
  for (int card = 0; card < count; ++card) {
    char name[256] = "";
    std::size_t bytes = 0;
    int major = 0;
    if (get_name(name, sizeof name, card) == 0 && get_memory(&bytes, card) == 0 &&
        get_attribute(&major, compute_capability_major, card) == 0)
      cards.push_back({name, static_cast<int64_t>(bytes), major >= 8});
  }
  return cards;
}

std::string why_no_cuda_device() {
  const auto& library = load_cuda_library();
  switch (library.state) {
    case CudaLibrary::State::absent:
      return "libtorch in '" + library.torch_folder +
             "' is for the CPU alone (no libtorch_cuda.so beside libtorch_cpu.so). Install a PyTorch with "
             "CUDA "
             "of the same minor version, and set T2V_TORCH to its folder";
    case CudaLibrary::State::no_driver:
      return "'" + library.torch_folder + "' has libtorch_cuda.so, but NVIDIA's driver is not there (" +
             library.reason + "). Install the driver";
    case CudaLibrary::State::old_driver:
      return "NVIDIA's driver is too old: " + library.reason +
             ". Install a newer driver, or a PyTorch for the driver's CUDA and set T2V_TORCH to its folder";
    case CudaLibrary::State::broken:
      return "libtorch_cuda.so cannot be loaded (" + library.reason +
             "). Install the CUDA libraries that belong to this PyTorch";
    case CudaLibrary::State::loaded:
      return "'" + library.torch_folder +
             "' has libtorch_cuda.so and NVIDIA's driver is there, but it finds no card. nvidia-smi should "
             "list one; "
             "CUDA_VISIBLE_DEVICES hides cards";
  }
  return "";
}

}  // namespace t2v
