// One regular file that libav reads through us, so that no name is ever taken for a protocol and no demuxer
// opens a second file.
#pragma once

#include <filesystem>
#include <string>

#include "video/libav.h"

namespace t2v {

class InputFile {
 public:
  // Throws Error{bad_input} when it cannot be opened or is not a regular file.
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  AVIOContext* io() { return io_.get(); }
  int64_t size() const { return size_; }
  // What the file has of them, for what libav does not hand on; the position stays.
  std::string bytes(int64_t at, std::size_t count) const;
  std::string beginning(std::size_t count = 1024) const { return bytes(0, count); }

 private:
  static int read_bytes(void* self, uint8_t* data, int size);
  static int64_t seek(void* self, int64_t offset, int whence);

  int descriptor_ = -1;
  int64_t size_ = 0;
  libav::Io io_;
};

}  // namespace t2v
