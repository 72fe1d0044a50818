#include "tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  t2v::fuzz::try_tokenizer("spiece.model", data, size);
  return 0;
}
