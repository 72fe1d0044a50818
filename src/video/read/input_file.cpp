#include "video/read/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "t2v/error.h"

namespace t2v {

namespace {

constexpr int io_buffer_bytes = 1 << 16;

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& why) {
  throw Error(ErrorKind::bad_input, path.string() + ": cannot be read (" + why + ")");
}

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) {
  // Not blocking, or opening a named pipe would wait for its writer before it could be refused.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (descriptor_ < 0) fail(path, std::strerror(errno));
  struct stat status {};
  const bool is_file = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  if (!is_file) {
    ::close(descriptor_);
    fail(path, S_ISDIR(status.st_mode)
                   ? "it is a folder; images in a folder are named by a pattern, as in frames/%05d.png"
                   : "not a regular file");
  }
  size_ = status.st_size;
  auto* buffer = static_cast<unsigned char*>(libav::allocated(av_malloc(io_buffer_bytes)));
  io_.reset(
      libav::allocated(avio_alloc_context(buffer, io_buffer_bytes, 0, this, read_bytes, nullptr, seek)));
}

InputFile::~InputFile() { ::close(descriptor_); }

std::string InputFile::bytes(int64_t at, std::size_t count) const {
  std::string bytes(static_cast<std::size_t>(std::clamp<int64_t>(size_ - at, 0, static_cast<int64_t>(count))),
                    '\0');
  const auto got = ::pread(descriptor_, bytes.data(), bytes.size(), at);
  bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return bytes;
}

int InputFile::read_bytes(void* self, uint8_t* data, int size) {
  for (;;) {
    const auto count = ::read(static_cast<InputFile*>(self)->descriptor_, data,
                              static_cast<std::size_t>(size));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return AVERROR(errno);
    return count == 0 ? AVERROR_EOF : static_cast<int>(count);
  }
}

int64_t InputFile::seek(void* self, int64_t offset, int whence) {
  const auto* file = static_cast<InputFile*>(self);
  if ((whence & AVSEEK_SIZE) != 0) return file->size_;
  const int64_t position = ::lseek(file->descriptor_, offset, whence & ~AVSEEK_FORCE);
  return position < 0 ? AVERROR(errno) : position;
}

}  // namespace t2v
