// A safetensors file: header, and every byte that its tensors claim.
#include "weights/safetensors.h"

#include <ATen/ATen.h>

#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace t2v;
  const fuzz::MemoryFile input(data, size);
  fuzz::accepts([&] {
    const auto file = SafetensorsFile::open(input.path());
    for (const auto& entry : file->entries())
      fuzz::accepts([&] {
        const auto tensor = file->tensor(entry.first);
        const auto* bytes = static_cast<const volatile uint8_t*>(tensor.const_data_ptr());
        for (std::size_t i = 0; i < tensor.nbytes(); ++i) [[maybe_unused]] const uint8_t byte = bytes[i];
      });
  });
  return 0;
}
