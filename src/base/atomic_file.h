// Files that are complete or absent: written under a temporary name in the same folder, synced, then renamed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace t2v {

class AtomicFile {
 public:
  // Reserves a temporary name beside `path` (".NAME.t2v-PID-N.tmp.EXT") and creates it, mode 0666 less the
  // umask. Where `path` is a symbolic link, the file that it leads to is written and the link stays. Throws
  // Error{output}, also when `path` is a device or pipe, and Error{usage} as check_name_length.
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
  std::filesystem::path path_, target_, temporary_;  // target_: path_, or where it leads as a link
  int descriptor_ = -1;
  bool committed_ = false;
};

// Writes the whole file atomically. Throws Error{output}.
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

// How a temporary file's name begins after its dot: with that of the finished file, of which a long one is
// cut.
std::string temporary_stem(const std::string& name);

// Whether a file could be created in the folder; throws Error{output} with the reason if not. Creates nothing
// that stays.
void check_writable_folder(const std::filesystem::path& folder);

// Whether an AtomicFile could be made at `path`, before the work of which it is to hold the result. Throws as
// its constructor does, and Error{output} where `path` is a folder. Creates nothing that stays.
void check_writable_file(const std::filesystem::path& path);
// The same without looking whether the folder can be written, for many files in one folder.
void check_writable_name(const std::filesystem::path& path);

// Throws Error{usage} when a name within `path`, or the whole of it or of its temporary file, has more bytes
// than the system allows.
void check_name_length(const std::filesystem::path& path);

// Where writing to `path` ends up: itself, or what it leads to as a symbolic link, which need not exist yet.
// Throws Error{output} for links in a circle and where the system follows none.
std::filesystem::path resolve_link(const std::filesystem::path& path);

// Unlinks every temporary file that is still open. Async-signal-safe: for the second Ctrl-C.
void remove_temporary_files_from_signal_handler();

}  // namespace t2v
