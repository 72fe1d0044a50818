// The program ffmpeg, which makes and reads some tests' videos (tools/test installs it).
#pragma once

#include <cstdlib>

namespace t2v::test {

inline bool has_ffmpeg() { return std::system("ffmpeg -version >/dev/null 2>&1") == 0; }

}  // namespace t2v::test
