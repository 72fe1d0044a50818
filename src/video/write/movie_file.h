// A container with one stream of pictures, and one of sound where there is any, by libav's muxer and encoder
// of the file's name and codec.
#pragma once

#include "video/write/codec.h"
#include "video/write/output_file.h"
#include "video/write/sound.h"

namespace t2v {

class MovieFile {
 public:
  explicit MovieFile(const EncoderOptions& options);

  AVPixelFormat pixels() const { return codec_->pix_fmt; }
  // The next picture, of the codec's size and format. Throws Error{output}.
  void encode(AVFrame& picture);
  // Everything but the file's name. Throws Error{output}.
  void end();
  // What end() leaves to be done.
  void finish() { file_.finish(); }
  OutputFile& file() { return file_; }

 private:
  void open_container(const EncoderOptions& options);
  void open_codec(const EncoderOptions& options);
  void open_sound_stream(const EncoderOptions& options);
  void open_stream();
  void write_sound(double until);
  bool is_matroska() const;
  bool has_its_place();
  void pass(const AVFrame* picture);
  void check(int result, const char* what);

  // In this order: what is below uses what is above until it is gone.
  OutputFile file_;
  libav::Io io_;
  libav::OutputFormat container_;
  libav::CodecContext codec_;
  AVStream* stream_ = nullptr;  // the container's
  std::unique_ptr<SoundTrack> sound_;
  AVStream* sound_stream_ = nullptr;  // the container's
  libav::Packet packet_;
  int64_t frames_ = 0, packets_ = 0;
};

}  // namespace t2v
