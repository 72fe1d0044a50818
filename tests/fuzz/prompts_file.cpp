// A prompts file, read as each of its kinds. What is wrong with it is a list with places inside the text,
// never an exception.
#include "batch/prompts_file.h"

#include <algorithm>

#include "input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace t2v;
  const auto text = fuzz::text_of(data, size);
  const auto lines = std::count(text.begin(), text.end(), '\n') + std::count(text.begin(), text.end(), '\r') +
                     1;
  guess_prompts_format("-", text);
  for (const auto format : {PromptsFormat::text, PromptsFormat::jsonl, PromptsFormat::json, PromptsFormat::csv}) {
    const auto file = parse_prompts("input", text, format);
    const auto inside = [&](const Place& place) {
      if (place.line < 1 || place.line > lines || place.column < 1)
        throw std::logic_error("a place outside the text");
    };
    for (const auto& defect : file.defects) inside(defect.place);
    for (const auto& entry : file.entries) inside(entry.place);
  }
  return 0;
}
