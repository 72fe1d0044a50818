#include "base/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

// Names of open temporary files for the signal handler: fixed storage, because a handler may not allocate or lock.
constexpr std::size_t slot_count = 64;
struct Slot {
  std::atomic<int> state{0};  // 0 free, 1 being filled, 2 ready
  std::array<char, 4096> name{};
};
std::array<Slot, slot_count> slots;

void remember(const std::string& name) {
  for (auto& slot : slots) {
    int expected = 0;
    if (name.size() < slot.name.size() && slot.state.compare_exchange_strong(expected, 1)) {
      std::memcpy(slot.name.data(), name.c_str(), name.size() + 1);
      slot.state = 2;
      return;
    }
  }
}

void forget(const std::string& name) {
  for (auto& slot : slots)
    if (slot.state == 2 && name == slot.name.data()) slot.state = 0;
}

[[noreturn]] void fail(const std::string& what, const fs::path& path, int error) {
  throw Error(ErrorKind::output, path.string() + ": " + what + " (" + std::strerror(error) + ")");
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

void sync_path(const fs::path& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) fail("cannot be opened to sync it", path, errno);
  const int result = ::fsync(file);
  const int error = errno;
  ::close(file);
  if (result != 0 && error != EINVAL) fail("cannot be synced to disk", path, error);  // EINVAL: a file system without fsync on folders
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  // The extension stays last, because encoders choose their format by it.
  temporary_ = folder_of(path_) / ("." + path_.filename().string() + ".t2v-" + std::to_string(::getpid()) + "-" +
                                   std::to_string(counter++) + ".tmp" + path_.extension().string());
  const int file = ::open(temporary_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
  if (file < 0) fail("cannot be written", path_, errno);
  ::close(file);
  remember(temporary_.string());
}

AtomicFile::~AtomicFile() {
  forget(temporary_.string());
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::commit() {
  sync_path(temporary_, O_WRONLY);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be given its final name", path_, errno);
  committed_ = true;
  sync_path(folder_of(path_), O_RDONLY | O_DIRECTORY);
}

void write_file_atomically(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  const int out = ::open(file.temporary_path().c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (out < 0) fail("cannot be written", path, errno);
  std::size_t done = 0;
  while (done < contents.size()) {
    const auto written = ::write(out, contents.data() + done, contents.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      ::close(out);
      fail("cannot be written", path, error);
    }
    done += static_cast<std::size_t>(written);
  }
  if (::close(out) != 0) fail("cannot be written", path, errno);
  file.commit();
}

void check_writable_folder(const fs::path& folder) {
  std::error_code failed;
  const auto where = folder.empty() ? fs::path(".") : folder;
  if (!fs::is_directory(where, failed)) throw Error(ErrorKind::output, where.string() + ": not a folder; create it first");
  AtomicFile probe(where / "t2v-write-test");  // removed on return
}

void remove_temporary_files_from_signal_handler() {
  for (auto& slot : slots)
    if (slot.state == 2) ::unlink(slot.name.data());
}

}  // namespace t2v
