// A --config file; what is accepted comes back from --print-config as it was.
#include "input.h"
#include "pipeline/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace t2v;
  GenerationRequest request;
  const auto text = fuzz::text_of(data, size);
  if (fuzz::accepts([&] { request = request_from_json(parse_json(text, "input", ErrorKind::usage), "input"); })) {
    const auto printed = request_to_json(request).dump(2);
    if (request_to_json(request_from_json(parse_json(printed, "printed"), "printed")).dump(2) != printed)
      throw std::logic_error("--print-config does not come back as it was");
    merge_requests(request, request);
  }
  for (const auto& setting : generation_settings()) fuzz::accepts([&] { set_from_text(request, setting, text, "input"); });
  return 0;
}
