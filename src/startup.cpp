// Note: [Waiting threads]
// libtorch's threads wait for each other by spinning. On a machine that is busy with something else, a
// spinning thread keeps the very processor from the thread it waits for, and a clip takes ten to fifty times
// as long (docs/performance.md). OMP_WAIT_POLICY=passive makes waiting threads sleep instead, but libgomp
// reads it only while it is being loaded, before main. So the program starts itself once more with that
// variable set, from the earliest place there is: before the constructors of any library have run, which is
// what makes starting libtorch slow. A user's own OMP_WAIT_POLICY or GOMP_SPINCOUNT is left alone.
#include <unistd.h>

#include <cstring>
#include <vector>

namespace {

void wait_without_spinning(int, char** argv, char** environment) {
  std::vector<char*> variables;
  for (char** variable = environment; *variable != nullptr; ++variable) {
    if (std::strncmp(*variable, "OMP_WAIT_POLICY=", 16) == 0 ||
        std::strncmp(*variable, "GOMP_SPINCOUNT=", 15) == 0)
      return;
    variables.push_back(*variable);
  }
  char policy[] = "OMP_WAIT_POLICY=passive";
  variables.push_back(policy);
  variables.push_back(nullptr);
  ::execve("/proc/self/exe", argv, variables.data());
  // Where the program cannot be started again (no /proc), it goes on as it is.
}

[[gnu::section(".preinit_array"),
  gnu::used]] void (*const before_all_constructors)(int, char**, char**) = wait_without_spinning;

}  // namespace
