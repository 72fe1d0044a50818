// Any bytes as a prompt: what passes the check is cleaned, and stays UTF-8.
#include "text/prompt.h"

#include "base/utf8.h"
#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace t2v;
  const auto text = fuzz::text_of(data, size);
  if (find_text_defect(text)) {
    fuzz::accepts([&] { clean_prompt(text); });
    return 0;
  }
  const auto cleaned = clean_prompt(text);
  if (const auto defect = find_text_defect(cleaned); defect && defect->what == "invalid UTF-8")
    throw std::logic_error("cleaning made invalid UTF-8 of a good prompt");
  return 0;
}
