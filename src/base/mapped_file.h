// A file mapped for reading, and what happens when it shrinks meanwhile.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace t2v {

// Note: [A mapped file that shrinks]
// Weights are used where they are mapped, on any of libtorch's threads, for as long as a run lasts. When
// somebody truncates such a file, or the disk or network under it fails, the next access to a page of it
// raises SIGBUS; checking the size beforehand cannot help, and reading the file into memory instead would
// cost its size in memory. So every mapping is registered, and the handler that the program installs looks up
// the address: inside a mapped file, it names the file, removes the temporary files and ends the program with
// the exit code of a bad input file. Anywhere else the signal has its usual effect.
class MappedFile {
 public:
  // Throws Error{bad_input} when it cannot be opened, is no regular file or cannot be mapped.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* bytes() const { return bytes_; }  // null when the file is empty
  std::size_t size() const { return size_; }
  // Lets go of the pages that lie whole within these bytes of the mapping: they count as the process's memory
  // no longer, and come back where they are looked at again.
  void release(const std::byte* begin, std::size_t size) const;

 private:
  std::string name_;
  const std::byte* bytes_ = nullptr;
  std::size_t size_ = 0;
};

// Installs the SIGBUS handler. For programs, not for libraries.
void install_mapped_file_handler();

}  // namespace t2v
