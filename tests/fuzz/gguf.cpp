// A GGUF file: header, metadata, and every tensor's bytes and numbers.
#include "weights/gguf.h"

#include <ATen/ATen.h>

#include "input.h"

namespace {

using namespace t2v;

void read_metadata(const GgufValue& value) {
  fuzz::accepts([&] { gguf_text(value, "key", "file"); });
  fuzz::accepts([&] { gguf_texts(value, "key", "file"); });
  fuzz::accepts([&] { gguf_integers(value, "key", "file"); });
  fuzz::accepts([&] { gguf_numbers(value, "key", "file"); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile input(data, size);
  fuzz::accepts([&] { parse_gguf_header(fuzz::text_of(data, size), "file"); });
  fuzz::accepts([&] {
    const auto file = GgufFile::open(input.path());
    for (const char* key : {"general.architecture", "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "list"})
      if (const auto* value = file->metadata(key)) read_metadata(*value);
    for (const auto& [name, tensor] : file->tensors()) {
      const auto numbers = file->tensor(name);
      const auto* bytes = static_cast<const volatile uint8_t*>(numbers.const_data_ptr());
      for (std::size_t i = 0; i < numbers.nbytes(); ++i) [[maybe_unused]] const uint8_t byte = bytes[i];
      if (const auto matrix = file->matrix(name)) expand({*matrix}, at::kCPU);
    }
  });
  return 0;
}
