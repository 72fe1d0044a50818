// The file that a sink writes: an AtomicFile, or standard output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/atomic_file.h"

namespace t2v {

class OutputFile {
 public:
  // "-" is standard output. Throws Error{output}.
  explicit OutputFile(const std::string& name);

  // Writes all of it; throws Error{output} with the system's reason.
  void write(const void* data, std::size_t size);
  // The same for callers that must not be thrown through: 0 or an errno, which error() keeps.
  int try_write(const void* data, std::size_t size);
  int64_t seek(int64_t offset, int whence);
  // The first errno of try_write, or 0.
  int error() const { return error_; }
  // Closes, and gives the file its name; without it the file is removed in the end. Throws Error{output}.
  void finish();
  [[noreturn]] void fail(int error) const;

  const std::string& name() const { return name_; }
  std::string temporary_path() const { return file_ ? file_->temporary_path().string() : name_; }

 private:
  int descriptor() const;

  std::string name_;
  std::optional<AtomicFile> file_;
  int error_ = 0;
};

}  // namespace t2v
