#include "base/atomic_file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/file_ops.h"
#include "t2v/error.h"

namespace t2v {

namespace fs = std::filesystem;

namespace {

// Names of open temporary files for the signal handler: fixed storage, because a handler may not allocate or
// lock.
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

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// The extension stays last, because encoders choose their format by it.
fs::path temporary_name(const fs::path& path) {
  static std::atomic<unsigned> counter{0};
  return folder_of(path) /
         ("." + temporary_stem(path.filename().string()) + ".t2v-" + std::to_string(::getpid()) + "-" +
          std::to_string(counter++) + ".tmp" + path.extension().string().substr(0, 50));
}

// Renaming would replace a device such as /dev/null for the whole machine. A link to one is no better.
void refuse_special_file(const fs::path& path) {
  std::error_code unknown;
  const auto type = fs::status(path, unknown).type();
  if (type == fs::file_type::character || type == fs::file_type::block || type == fs::file_type::fifo ||
      type == fs::file_type::socket)
    throw Error(ErrorKind::output,
                path.string() + ": is a device or pipe, which a finished file would replace; name a file");
}

// Makes a new name in the folder durable. A folder that may be written but not read cannot be synced, nor can
// one on a file system that does not know the operation.
void sync_folder(const fs::path& folder) {
  const int file = open_file(folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (file == -EACCES) return;
  if (file < 0) fail("cannot be opened to sync it", folder, -file);
  const int error = sync_file(file);
  const int close_error = close_file(file);
  if (error != 0 && error != EINVAL) fail("cannot be synced to disk", folder, error);
  if (close_error != 0) fail("cannot be synced to disk", folder, close_error);
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  check_name_length(path_);
  target_ = resolve_link(path_);
  refuse_special_file(path_);
  // A name may be taken: by a file that a killed run of the same process number left, or by another machine
  // on the same network folder.
  constexpr int attempts = 1000;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    temporary_ = temporary_name(target_);
    descriptor_ = open_file(temporary_.c_str(), O_CREAT | O_EXCL | O_RDWR, 0666);
    if (descriptor_ != -EEXIST) break;
  }
  if (descriptor_ < 0) fail("cannot be written", path_, -descriptor_);
  remember(temporary_.string());
}

AtomicFile::~AtomicFile() {
  forget(temporary_.string());
  if (descriptor_ >= 0) close_file(descriptor_);
  if (!committed_) file_ops().unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, std::size_t size) {
  if (const int error = write_fully(descriptor_, data, size); error != 0)
    fail("cannot be written", path_, error);
}

void AtomicFile::commit() {
  const int sync_error = sync_file(descriptor_);
  const int close_error = close_file(std::exchange(descriptor_, -1));
  if (sync_error != 0 && sync_error != EINVAL) fail("cannot be synced to disk", path_, sync_error);
  if (close_error != 0) fail("cannot be written", path_, close_error);
  if (const int error = rename_file(temporary_.c_str(), target_.c_str()); error != 0)
    fail("cannot be given its final name", path_, error);
  committed_ = true;
  sync_folder(folder_of(target_));
}

void write_file_atomically(const fs::path& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents.data(), contents.size());
  file.commit();
}

// Far below the 255 bytes that a name may have, so that there is room for the rest of a temporary name.
std::string temporary_stem(const std::string& name) { return name.substr(0, 150); }

void check_writable_folder(const fs::path& folder) {
  std::error_code failed;
  const auto where = folder.empty() ? fs::path(".") : folder;
  if (!fs::is_directory(where, failed))
    throw Error(ErrorKind::output, where.string() + ": not a folder; create it first");
  AtomicFile probe(where / "t2v-write-test");  // removed on return
}

void check_writable_file(const fs::path& path) {
  check_writable_name(path);
  check_writable_folder(resolve_link(path).parent_path());
}

void check_writable_name(const fs::path& path) {
  check_name_length(path);
  const auto target = resolve_link(path);
  refuse_special_file(path);
  std::error_code absent;
  if (fs::is_directory(target, absent))
    throw Error(ErrorKind::output, path.string() + ": is a folder; give the name of a file");
}

void check_name_length(const fs::path& path) {
  const auto refuse = [&](const std::string& what, std::size_t bytes, std::size_t most) {
    throw Error(ErrorKind::usage, path.string() + ": " + what + " has " + std::to_string(bytes) +
                                      " bytes and may have " + std::to_string(most) + "; give a shorter one");
  };
  for (const auto& part : path)
    if (part.string().size() > NAME_MAX) refuse("the name", part.string().size(), NAME_MAX);
  constexpr std::size_t most = PATH_MAX - 1 - 10;  // the zero byte at the end; a longer number in its name
  const auto longest = std::max(path.string().size(), temporary_name(path).string().size());
  if (longest > most) refuse("the path of its temporary file", longest, most);
}

fs::path resolve_link(const fs::path& path) {
  // Following the link is what the system may refuse: in a circle, or to a stranger's link in a folder that
  // everybody can write (fs.protected_symlinks).
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 && errno != ENOENT) fail("cannot be written", path, errno);
  constexpr int most_links = 40;  // as many as the system follows
  auto target = path;
  std::error_code failed;
  for (int links = 0; links < most_links && fs::is_symlink(target, failed); ++links)
    target = folder_of(target) / fs::read_symlink(target, failed);  // an absolute one replaces the folder
  return target;
}

void remove_temporary_files_from_signal_handler() {
  for (auto& slot : slots)
    if (slot.state == 2) ::unlink(slot.name.data());
}

}  // namespace t2v
