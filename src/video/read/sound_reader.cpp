#include "video/read/sound_reader.h"

#include "t2v/error.h"
#include "video/read/container.h"
#include "video/read/decoder.h"

namespace t2v {

SoundReader::SoundReader(const std::string& path) : file_(path) {
  libav::prepare_library();
  container_ = open_container(file_, path, {DecoderLimits{}.pixels_per_frame});
  const int index = av_find_best_stream(container_.get(), AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  if (index < 0) throw Error(ErrorKind::bad_input, path + ": has no sound");
  for (unsigned i = 0; i < container_->nb_streams; ++i)
    container_->streams[i]->discard = static_cast<int>(i) == index ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  stream_ = container_->streams[index];
}

bool SoundReader::read(AVPacket& packet) {
  for (;;) {
    av_packet_unref(&packet);
    if (av_read_frame(container_.get(), &packet) < 0) return false;
    if (packet.stream_index == stream_->index) return true;
  }
}

}  // namespace t2v
