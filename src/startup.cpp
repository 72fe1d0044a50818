// Note: [Waiting threads]
// libtorch's threads wait for each other by spinning. On a machine that is busy with something else, a
// spinning thread keeps the very processor from the thread it waits for, and a clip takes ten to fifty times
// as long (docs/performance.md). OMP_WAIT_POLICY=passive makes waiting threads sleep instead, but libgomp
// reads it only while it is being loaded, before main. So the program starts itself once more with that
// variable set, from the earliest place there is: before the constructors of any library have run, which is
// what makes starting libtorch slow. A user's own OMP_WAIT_POLICY or GOMP_SPINCOUNT is left alone.
//
// Note: [Closed standard descriptors]
// A program may be started with stdin, stdout or stderr closed (2>&-). The next file that it opens then gets
// that number, and what is meant for stderr is written into a clip. So closed ones are opened before anything
// else is. Reading stdin and writing stdout fail all the same, as on a closed descriptor, because they are
// open the other way round: a clip for stdout would otherwise be lost with exit code 0.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <vector>

namespace {

void open_closed_descriptors() {
  constexpr int modes[] = {O_WRONLY, O_RDONLY, O_RDWR};
  for (int descriptor = 0; descriptor < 3; ++descriptor)
    if (::fcntl(descriptor, F_GETFD) < 0)
      ::open("/dev/null", modes[descriptor]);  // gets this number: it is the lowest that is free
}

void wait_without_spinning(char** argv, char** environment) {
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

void start(int, char** argv, char** environment) {
  open_closed_descriptors();
  wait_without_spinning(argv, environment);
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const before_all_constructors)(int, char**,
                                                                                    char**) = start;

}  // namespace
