// Whether a file ends where its container says.
#pragma once

#include <optional>
#include <string>

#include "video/libav.h"

namespace t2v {

// libav takes many a file that was cut short as whole. How this one, of the demuxer `format`, is shorter than
// it says ("it has 300 of 1000 bytes"); nothing when it is whole or its format does not say: transport and
// program streams, Ogg, FLV, WMV, y4m cut after a frame, live recordings. Reads `io` from the beginning and
// leaves it there. Sources: ISO/IEC 14496-12, section 4.2; RFC 9559 and RFC 8794; "Multimedia Programming
// Interface" (RIFF), chapter 2; GIF89a, appendix B; PNG specification, third edition, section 5.
std::optional<std::string> missing_end(AVIOContext& io, const AVInputFormat& format);

}  // namespace t2v
