// A --config file; what is accepted comes back from --print-config as it was. And a flag's text, of the
// setting that the first byte picks: all of them for each input would be thirty exceptions, which are most of
// the time.
#include "input.h"
#include "pipeline/plan/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace t2v;
  GenerationRequest request;
  const auto text = fuzz::text_of(data, size);
  if (fuzz::accepts(
          [&] { request = request_from_json(parse_json(text, "input", ErrorKind::usage), "input"); })) {
    const auto printed = request_to_json(request).dump(2);
    if (request_to_json(request_from_json(parse_json(printed, "printed"), "printed")).dump(2) != printed)
      throw std::logic_error("--print-config does not come back as it was");
    merge_requests(request, request);
  }
  if (size > 0) {
    const auto& setting = generation_settings()[data[0] % generation_settings().size()];
    fuzz::accepts([&] { set_from_text(request, setting, text.substr(1), "input"); });
  }
  return 0;
}
