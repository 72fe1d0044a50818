// The file layer with faults: the n-th call of one kind fails, or every write is short.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/file_ops.h"
#include "bytes.h"
#include "paths.h"
#include "t2v/error.h"

namespace t2v::test {

enum class FileCall { open, write, fsync, close, rename };

inline const char* name_of(FileCall call) {
  constexpr const char* names[] = {"open", "write", "fsync", "close", "rename"};
  return names[static_cast<int>(call)];
}

// In place of the system's calls while it lives. Counts calls, also those of other threads; one at a time.
class FaultyFiles {
 public:
  struct Fault {
    FileCall call;
    long nth = 0;   // from 1
    int error = 0;  // errno
  };
  // Nothing fails; writes take at most `most` bytes, and every other one is interrupted by a signal first.
  explicit FaultyFiles(std::size_t most = SIZE_MAX) : FaultyFiles(Fault{FileCall::open, 0, 0}, most) {}
  explicit FaultyFiles(Fault fault, std::size_t most = SIZE_MAX) {
    state() = {};
    state().fault = fault;
    state().most = most;
    replace_file_ops(&faulty_calls());
  }
  ~FaultyFiles() { replace_file_ops(nullptr); }
  FaultyFiles(const FaultyFiles&) = delete;
  FaultyFiles& operator=(const FaultyFiles&) = delete;

  static long calls(FileCall call) { return state().calls[static_cast<int>(call)]; }

 private:
  struct State {
    Fault fault{FileCall::open, 0, 0};
    std::size_t most = SIZE_MAX;
    long calls[5] = {};
    bool interrupted = false;
  };
  static State& state() {
    static State the_state;
    return the_state;
  }

  // Whether this call is the one that fails; then errno is set.
  static bool fails(FileCall call) {
    auto& s = state();
    if (++s.calls[static_cast<int>(call)] != s.fault.nth || call != s.fault.call) return false;
    errno = s.fault.error;
    return true;
  }

  static const FileOps& faulty_calls() {
    static const FileOps calls{
        .open =
            [](const char* path, int flags, mode_t mode) {
              return fails(FileCall::open) ? -1 : system_file_ops().open(path, flags, mode);
            },
        .write = [](int file, const void* bytes, std::size_t size) -> ssize_t {
          auto& s = state();
          if (s.most != SIZE_MAX && (s.interrupted = !s.interrupted)) {
            errno = EINTR;
            return -1;
          }
          if (fails(FileCall::write)) {
            // A disk that is full takes a part first, as a real one does; a signal that interrupts a write
            // that has begun makes it short.
            const auto half = size / 2;
            const int error = errno;
            if (half > 0 && error != EINTR) [[maybe_unused]]
              const auto ignored = system_file_ops().write(file, bytes, half);
            errno = error;
            return -1;
          }
          return system_file_ops().write(file, bytes, std::min(size, s.most));
        },
        .fsync = [](int file) { return fails(FileCall::fsync) ? -1 : system_file_ops().fsync(file); },
        .close =
            [](int file) {
              const int result = system_file_ops().close(file);  // the descriptor is gone even when close
                                                                 // says that it failed
              return fails(FileCall::close) ? -1 : result;
            },
        .rename =
            [](const char* from, const char* to) {
              return fails(FileCall::rename) ? -1 : system_file_ops().rename(from, to);
            },
        .unlink = system_file_ops().unlink,
    };
    return calls;
  }
};

// Name → contents of all files of a folder, hidden ones too.
inline std::map<std::string, std::string> files_in(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files[entry.path().filename().string()] = bytes_of(entry.path());
  return files;
}

inline std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                                std::filesystem::directory_iterator()));
}

// `make` writes files into the folder it is given. It is run again and again with each of its calls failing
// in turn, for every reason that such a call may give; first into an empty folder, then into one that has
// files under the same names. Each time: Error{output} with the system's reason, every name absent, as
// before, or complete, nothing else in the folder, no descriptor left open. The first `probes` closes are of
// files that were made to see whether it can be done, and whose end does not matter.
inline void expect_complete_or_absent_after_every_fault(
    const std::function<void(const std::filesystem::path&)>& make, long probes = 0) {
  std::map<std::string, std::string> whole;
  long counts[5] = {};
  {
    const TemporaryFolder folder;
    const FaultyFiles none;
    make(folder.path());
    for (int call = 0; call < 5; ++call) counts[call] = FaultyFiles::calls(static_cast<FileCall>(call));
    whole = files_in(folder.path());
  }
  ASSERT_FALSE(whole.empty());
  const std::vector<std::pair<FileCall, std::vector<int>>> reasons = {
      {FileCall::open, {ENOSPC, EMFILE}},
      {FileCall::write, {ENOSPC, EIO, EDQUOT, EFBIG}},
      {FileCall::fsync, {EIO, ENOSPC}},
      {FileCall::close, {EIO, EDQUOT}},
      {FileCall::rename, {EIO, ENOSPC, EROFS}}};
  int faults = 0;
  for (const bool existing : {false, true})
    for (const auto& [call, errors] : reasons)
      for (const int error : errors)
        for (long nth = call == FileCall::close ? 1 + probes : 1; nth <= counts[static_cast<int>(call)];
             ++nth) {
          SCOPED_TRACE(std::string(name_of(call)) + " " + std::to_string(nth) + " says " +
                       std::strerror(error) + (existing ? ", over existing files" : ""));
          const TemporaryFolder folder;
          if (existing)
            for (const auto& [name, contents] : whole) write_bytes(folder / name, "what was there before");
          const auto descriptors = open_descriptors();
          std::string message = "no error";
          int kind = 0;
          {
            const FaultyFiles fault({call, nth, error});
            try {
              make(folder.path());
            } catch (const Error& failure) {
              message = failure.what();
              kind = failure.exit_code();
            }
          }
          EXPECT_EQ(kind, static_cast<int>(ErrorKind::output)) << message;
          EXPECT_NE(message.find(std::strerror(error)), std::string::npos) << message;
          EXPECT_EQ(open_descriptors(), descriptors);
          for (const auto& [name, contents] : files_in(folder.path())) {
            ASSERT_TRUE(whole.contains(name)) << name << " was left";
            EXPECT_TRUE(contents == whole.at(name) || (existing && contents == "what was there before"))
                << name << " is half-written";
          }
          ++faults;
        }
  EXPECT_GE(faults, 2 * (2 + 4 + 2 + 2 + 3));  // at least one of each
}

// The same files when every write is short and every other one is interrupted.
inline void expect_same_after_short_and_interrupted_writes(
    const std::function<void(const std::filesystem::path&)>& make) {
  const TemporaryFolder plain, shortened;
  make(plain.path());
  {
    const FaultyFiles short_writes(7);
    make(shortened.path());
    EXPECT_GT(FaultyFiles::calls(FileCall::write), 1);
  }
  EXPECT_EQ(files_in(plain.path()), files_in(shortened.path()));
}

}  // namespace t2v::test
