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
//
// Note: [Another libtorch]
// T2V_TORCH names a folder with lib/libtorch_cpu.so that goes before the one the program was linked with. The
// dynamic linker looks for libraries before the program runs, so this too takes starting once more, with the
// folder in LD_LIBRARY_PATH. libtorch has no stable interface between minor versions: one of another version
// is refused here, before a symbol that it lacks is asked for.
#include <dlfcn.h>
#include <fcntl.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr int usage = 2;  // t2v::ErrorKind::usage
constexpr const char* linker_variable = "LD_LIBRARY_PATH=";

bool begins_with(const char* text, const char* beginning) {
  return std::strncmp(text, beginning, std::strlen(beginning)) == 0;
}

void open_closed_descriptors() {
  constexpr int modes[] = {O_WRONLY, O_RDONLY, O_RDWR};
  for (int descriptor = 0; descriptor < 3; ++descriptor)
    if (::fcntl(descriptor, F_GETFD) < 0)
      ::open("/dev/null", modes[descriptor]);  // gets this number: it is the lowest that is free
}

// What of `environment` a second start is to have, and whether that is more than it has.
struct Variables {
  std::vector<const char*> list;
  bool differ = false;
  void add(const char* variable) {
    list.push_back(variable);
    differ = true;
  }
};

void wait_without_spinning(Variables& variables) {
  for (const char* variable : variables.list)
    if (begins_with(variable, "OMP_WAIT_POLICY=") || begins_with(variable, "GOMP_SPINCOUNT=")) return;
  variables.add("OMP_WAIT_POLICY=passive");
}

void take_named_torch(Variables& variables) {
  const char* named = nullptr;
  const char* path = nullptr;  // of the dynamic linker
  for (const char* variable : variables.list) {
    if (begins_with(variable, "T2V_TORCH=")) named = std::strchr(variable, '=') + 1;
    if (begins_with(variable, linker_variable)) path = variable;
  }
  if (named == nullptr || *named == '\0') return;
  char library[4096];
  if (std::snprintf(library, sizeof library, "%s/lib/libtorch_cpu.so", named) >=
          static_cast<int>(sizeof library) ||
      ::access(library, R_OK) != 0) {
    ::dprintf(STDERR_FILENO, "error: T2V_TORCH='%s' should be a folder with lib/libtorch_cpu.so\n", named);
    ::_exit(usage);
  }
  static char first[4096 + 32];
  std::snprintf(first, sizeof first, "%s%s/lib", linker_variable, named);
  const char next = path != nullptr && begins_with(path, first) ? path[std::strlen(first)] : '-';
  if (next == '\0' || next == ':') return;
  const char* rest = path == nullptr ? "" : path + std::strlen(linker_variable);
  static std::vector<char> whole;
  whole.assign(first, first + std::strlen(first));
  if (*rest != '\0') whole.push_back(':');
  whole.insert(whole.end(), rest, rest + std::strlen(rest) + 1);
  std::erase(variables.list, path);
  variables.add(whole.data());
}

void start_again(char** argv, char** environment) {
  Variables variables;
  for (char** variable = environment; *variable != nullptr; ++variable) variables.list.push_back(*variable);
  wait_without_spinning(variables);
  take_named_torch(variables);
  if (!variables.differ) return;
  variables.list.push_back(nullptr);
  ::execve("/proc/self/exe", argv, const_cast<char* const*>(variables.list.data()));
  // Where the program cannot be started again (no /proc), it goes on as it is.
}

// What libtorch calls its ABI version begins with a byte each of major and minor version.
void check_torch_version() {
  auto* const ask = reinterpret_cast<uint64_t (*)()>(::dlsym(RTLD_DEFAULT, "aoti_torch_abi_version"));
  Dl_info place{};
  if (ask == nullptr || ::dladdr(reinterpret_cast<void*>(ask), &place) == 0) return;
  const uint64_t version = ask();
  const auto major = static_cast<int>(version >> 56), minor = static_cast<int>(version >> 48 & 0xFF);
  if (major == TORCH_VERSION_MAJOR && minor == TORCH_VERSION_MINOR) return;
  ::dprintf(
      STDERR_FILENO,
      "error: this t2v is built for libtorch %d.%d and runs with no other; %s is %d.%d. Set T2V_TORCH to the "
      "folder of a PyTorch %d.%d (pip: torch==%d.%d.*)\n",
      TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, place.dli_fname, major, minor, TORCH_VERSION_MAJOR,
      TORCH_VERSION_MINOR, TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR);
  ::_exit(usage);
}

void start(int, char** argv, char** environment) {
  open_closed_descriptors();
  start_again(argv, environment);
  check_torch_version();
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const before_all_constructors)(int, char**,
                                                                                    char**) = start;

}  // namespace
