#include "video/write/output_file.h"

#include <unistd.h>

#include <cstring>

#include "base/file_ops.h"
#include "t2v/error.h"

namespace t2v {

OutputFile::OutputFile(const std::string& name) : name_(name) {
  if (name != "-") file_.emplace(name);
}

int OutputFile::descriptor() const { return file_ ? file_->descriptor() : STDOUT_FILENO; }

void OutputFile::write(const void* data, std::size_t size) {
  if (const int error = try_write(data, size); error != 0) fail(error);
}

int OutputFile::try_write(const void* data, std::size_t size) {
  if (error_ == 0) error_ = write_fully(descriptor(), data, size);
  return error_;
}

int64_t OutputFile::seek(int64_t offset, int whence) { return ::lseek(descriptor(), offset, whence); }

void OutputFile::finish() {
  if (error_ != 0) fail(error_);
  if (file_) file_->commit();
}

void OutputFile::fail(int error) const {
  throw Error(ErrorKind::output, (name_ == "-" ? "standard output" : name_) + ": cannot be written (" +
                                     std::strerror(error) + ")");
}

}  // namespace t2v
