#include "video/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "t2v/error.h"

namespace t2v {

OutputFile::OutputFile(const std::string& name) : name_(name) {
  if (name == "-") {
    descriptor_ = STDOUT_FILENO;
    return;
  }
  file_.emplace(name);
  descriptor_ = ::open(file_->temporary_path().c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (descriptor_ < 0) fail(errno);
}

OutputFile::~OutputFile() {
  if (file_ && descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::write(const void* data, std::size_t size) {
  if (const int error = try_write(data, size); error != 0) fail(error);
}

int OutputFile::try_write(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const char*>(data);
  while (size > 0 && error_ == 0) {
    const auto written = ::write(descriptor_, bytes, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      error_ = errno;
      break;
    }
    bytes += written;
    size -= static_cast<std::size_t>(written);
  }
  return error_;
}

int64_t OutputFile::seek(int64_t offset, int whence) { return ::lseek(descriptor_, offset, whence); }

void OutputFile::finish() {
  if (error_ != 0) fail(error_);
  if (!file_) return;
  if (::close(std::exchange(descriptor_, -1)) != 0) fail(errno);
  file_->commit();
}

void OutputFile::fail(int error) const {
  throw Error(ErrorKind::output, (name_ == "-" ? "standard output" : name_) + ": cannot be written (" + std::strerror(error) + ")");
}

}  // namespace t2v
