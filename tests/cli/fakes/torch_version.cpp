// Preloaded, a libtorch of version 2.3.
#include <cstdint>

extern "C" [[gnu::visibility("default")]] uint64_t aoti_torch_abi_version() {
  return uint64_t{2} << 56 | uint64_t{3} << 48;
}
