// The sound of a file, as it is stored.
#pragma once

#include <string>

#include "video/read/input_file.h"

namespace t2v {

class SoundReader {
 public:
  // Throws Error{bad_input} for what no container is, and where there is no sound.
  explicit SoundReader(const std::string& path);

  const AVCodecParameters& parameters() const { return *stream_->codecpar; }
  AVRational time_base() const { return stream_->time_base; }
  // The next packet; false at the end, which a damaged file has where it is damaged.
  bool read(AVPacket& packet);

 private:
  InputFile file_;
  libav::InputFormat container_;  // uses file_
  AVStream* stream_ = nullptr;    // the container's
};

}  // namespace t2v
