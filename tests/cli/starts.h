// Starts with little of something.
#pragma once

#include <sys/prctl.h>
#include <sys/resource.h>

#include "run_program.h"
#include "sanitizer.h"

namespace t2v::test {

inline void set_limit(decltype(RLIMIT_AS) which, rlim_t value) {
  const rlimit limit{value, value};
  ::setrlimit(which, &limit);
}

// 1.5 GB of addresses, most of which libtorch's libraries take, and `seconds` of processor time, after which
// the kernel kills the program: what a hostile file may cost. (Loading libtorch takes about 0.4 of the
// seconds.)
inline Start with_little_memory_and_time(rlim_t seconds = 3) {
  return {.prepare = [seconds] {
    if (has_sanitizer) return;
    set_limit(RLIMIT_AS, rlim_t{1500} << 20);
    set_limit(RLIMIT_CPU, seconds);
  }};
}

// One thread and one memory arena, so that the addresses do not depend on the number of processors.
inline const Environment one_thread = {{"OMP_NUM_THREADS", "1"}, {"MALLOC_ARENA_MAX", "1"}};

// Not even root reads or writes where the permissions say no.
inline Start without_override() {
  constexpr int cap_dac_override = 1, cap_dac_read_search = 2;
  return {.prepare = [] {
    ::prctl(PR_CAPBSET_DROP, cap_dac_override, 0, 0, 0);
    ::prctl(PR_CAPBSET_DROP, cap_dac_read_search, 0, 0, 0);
  }};
}

// What root may do beyond its own files' permissions is gone, and every other privilege with it: it is a user
// like any other, whose files are those of root. (Another user could not reach a libtorch below /root.) Does
// nothing where the tests are not run by root.
inline Start without_privileges() {
  constexpr unsigned long no_privileges_for_root = 1;  // SECBIT_NOROOT, which counts from the next execve on
  return {.prepare = [] { ::prctl(PR_SET_SECUREBITS, no_privileges_for_root, 0, 0, 0); }};
}

inline Start with_umask(mode_t mask) {
  return {.prepare = [mask] { ::umask(mask); }};
}

}  // namespace t2v::test
