// Whether a sanitizer is built in: its shadow memory counts as the program's, it reserves terabytes of
// addresses, and it slows everything down.
#pragma once

namespace t2v::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool has_sanitizer = true;
#else
constexpr bool has_sanitizer = false;
#endif

}  // namespace t2v::test
