#include "base/file_ops.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

namespace t2v {

namespace {

constexpr FileOps system_calls{
    .open = [](const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); },
    .write = ::write,
    .fsync = ::fsync,
    .close = ::close,
    .rename = ::rename,
    .unlink = ::unlink,
};

std::atomic<const FileOps*> current{&system_calls};

}  // namespace

const FileOps& system_file_ops() { return system_calls; }

const FileOps& file_ops() { return *current; }

void replace_file_ops(const FileOps* ops) { current = ops == nullptr ? &system_calls : ops; }

int open_file(const char* path, int flags, mode_t mode) {
  for (;;) {
    const int file = file_ops().open(path, flags | O_CLOEXEC, mode);
    if (file >= 0) return file;
    if (errno != EINTR) return -errno;
  }
}

int write_fully(int file, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const char*>(data);
  while (size > 0) {
    const auto written = file_ops().write(file, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return EIO;  // no device may do so; without this the loop would not end
    bytes += written;
    size -= static_cast<std::size_t>(written);
  }
  return 0;
}

int sync_file(int file) {
  while (file_ops().fsync(file) != 0)
    if (errno != EINTR) return errno;
  return 0;
}

int close_file(int file) {
  // Linux has closed the descriptor when it says EINTR; another close could hit another thread's new file.
  return file_ops().close(file) == 0 || errno == EINTR ? 0 : errno;
}

int rename_file(const char* from, const char* to) { return file_ops().rename(from, to) == 0 ? 0 : errno; }

}  // namespace t2v
