#include "pipeline/plan/plan_parts.h"

#include <algorithm>
#include <cmath>

namespace t2v {

namespace {

std::string size_text(const PixelSize& size) {
  return std::to_string(size.width) + "x" + std::to_string(size.height);
}

PixelSize wanted_size(const GenerationRequest& request, const GenerationRequest& defaults, int64_t multiple) {
  if (request.size && (request.width || request.height || request.aspect))
    refuse("--size says it all; leave out --width, --height and --aspect");
  if (request.width && request.height && request.aspect)
    refuse("--width and --height already give the ratio; leave out --aspect");
  if (request.size) return parse_size(*request.size, "--size");
  const double aspect = request.aspect
                            ? parse_aspect(*request.aspect, "--aspect")
                            : static_cast<double>(*defaults.width) / static_cast<double>(*defaults.height);
  if (request.width && request.height) return {*request.width, *request.height};
  const auto clamp = [](double side) { return std::clamp<int64_t>(std::llround(side), 1, 16384); };
  if (request.width) return {*request.width, clamp(static_cast<double>(*request.width) / aspect)};
  if (request.height) return {clamp(static_cast<double>(*request.height) * aspect), *request.height};
  if (request.aspect) return size_for_aspect(aspect, *defaults.width * *defaults.height, multiple);
  return {*defaults.width, *defaults.height};
}

}  // namespace

void plan_size(GenerationPlan& plan, const GenerationRequest& request, const GenerationRequest& defaults,
               int64_t multiple, const std::optional<PixelSize>& source) {
  const bool is_given = request.size || request.aspect || request.width || request.height;
  std::optional<double> aspect;
  if (!is_given && request.outpaint)
    aspect = parse_aspect(*request.outpaint, "--outpaint");
  else if (!is_given && source)
    aspect = static_cast<double>(source->width) / static_cast<double>(source->height);
  const auto wanted = aspect ? size_for_aspect(*aspect, *defaults.width * *defaults.height, multiple)
                             : wanted_size(request, defaults, multiple);
  const auto size = floor_to_multiple(wanted, multiple);
  plan.width = size.width;
  plan.height = size.height;
  if (size != wanted)
    plan.notes.push_back("size " + size_text(wanted) + " became " + size_text(size) +
                         ": the model makes multiples of " + std::to_string(multiple));
  if (request.aspect) {
    const double got = static_cast<double>(size.width) / static_cast<double>(size.height);
    const double asked = parse_aspect(*request.aspect, "--aspect");
    if (std::abs(got / asked - 1) > 0.005)
      plan.notes.push_back("aspect " + *request.aspect + " became " + size_text(size) +
                           ", the nearest that the model makes at its trained area");
  }
}

}  // namespace t2v
