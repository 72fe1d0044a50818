// Files that are complete or absent: written under a temporary name in the same folder, synced, then renamed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace t2v {

class AtomicFile {
 public:
  // Reserves a temporary name beside `path` (".NAME.t2v-PID-N.tmp.EXT") and creates it, mode 0666 less the
  // umask. Throws Error{output}, also when `path` is a device or pipe.
  explicit AtomicFile(std::filesystem::path path);
  // Removes the temporary file unless commit() was called.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& temporary_path() const { return temporary_; }
  // Open for reading and writing until commit().
  int descriptor() const { return descriptor_; }
  // Appends all of it. Throws Error{output}.
  void write(const void* data, std::size_t size);
  // Syncs and closes the temporary file and renames it to path(). Throws Error{output}; the temporary file is
  // then removed.
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
  bool committed_ = false;
};

// Writes the whole file atomically. Throws Error{output}.
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

// Whether a file could be created in `path`'s folder; throws Error{output} with the reason if not. Creates
// nothing that stays.
void check_writable_folder(const std::filesystem::path& folder);

// Unlinks every temporary file that is still open. Async-signal-safe: for the second Ctrl-C.
void remove_temporary_files_from_signal_handler();

}  // namespace t2v
