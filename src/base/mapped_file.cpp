#include "base/mapped_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/atomic_file.h"
#include "t2v/error.h"

namespace t2v {

namespace {

// For the signal handler: fixed storage, because it may not allocate or lock. A mapping beyond the last slot
// is not known to it.
struct MappedSlot {
  std::atomic<int> state{0};  // 0 free, 1 being filled, 2 ready
  std::uintptr_t begin = 0, end = 0;
  const char* name = nullptr;
};
std::array<MappedSlot, 4096> mapped_slots;

void remember(const std::byte* bytes, std::size_t size, const char* name) {
  for (auto& slot : mapped_slots) {
    int expected = 0;
    if (!slot.state.compare_exchange_strong(expected, 1)) continue;
    slot.begin = reinterpret_cast<std::uintptr_t>(bytes);
    slot.end = slot.begin + size;
    slot.name = name;
    slot.state = 2;
    return;
  }
}

void forget(const char* name) {
  for (auto& slot : mapped_slots)
    if (slot.state == 2 && slot.name == name) {
      slot.state = 0;
      return;
    }
}

void say(const char* text) {
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text,
                                                std::strlen(text));  // nothing can be done about it here
}

void handle_bus_error(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  for (const auto& slot : mapped_slots) {
    if (slot.state != 2 || address < slot.begin || address >= slot.end) continue;
    remove_temporary_files_from_signal_handler();
    say("\nerror: ");
    say(slot.name);
    say(": became unreadable while it was in use: it was truncated or written over, or its disk failed. "
        "Unfinished files were removed. "
        "Fetch "
        "it again, and replace model files by renaming new ones over them.\n");
    ::_exit(static_cast<int>(ErrorKind::bad_input));
  }
  ::signal(signal, SIG_DFL);  // the access happens again on return
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : name_(path.string()) {
  const int file = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);  // a named pipe would wait for
                                                                             // its writer
  if (file < 0) throw Error(ErrorKind::bad_input, name_ + ": cannot be read (" + std::strerror(errno) + ")");
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(file);
    throw Error(ErrorKind::bad_input, name_ + ": not a regular file");
  }
  size_ = static_cast<std::size_t>(status.st_size);
  void* mapped = size_ == 0 ? nullptr : ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
  const int error = errno;
  ::close(file);
  if (mapped == MAP_FAILED)
    throw Error(error == ENOMEM ? ErrorKind::out_of_memory : ErrorKind::bad_input,
                name_ + ": cannot be mapped (" + std::strerror(error) + ")");
  bytes_ = static_cast<const std::byte*>(mapped);
  if (bytes_ != nullptr) remember(bytes_, size_, name_.c_str());
}

MappedFile::~MappedFile() {
  if (bytes_ == nullptr) return;
  forget(name_.c_str());
  ::munmap(const_cast<std::byte*>(bytes_), size_);
}

void MappedFile::release(const std::byte* begin, std::size_t size) const {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto from = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
  const auto to = (reinterpret_cast<std::uintptr_t>(begin) + size) / page * page;
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

void install_mapped_file_handler() {
  struct sigaction action {};
  action.sa_sigaction = handle_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace t2v
