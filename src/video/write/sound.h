// The sound of a file that is written: packets out of other files.
#pragma once

#include <memory>

#include "video/libav.h"
#include "video/write/encoder.h"

namespace t2v {

class SoundTrack {
 public:
  virtual ~SoundTrack() = default;
  // Of the packets.
  virtual const AVCodecParameters& parameters() const = 0;
  virtual AVRational time_base() const = 0;
  // The next packet, in order; false where it begins later than `until` seconds of the written file, or where
  // there is none. What is damaged of a source's sound is silent. Throws Error{output}.
  virtual bool next(AVPacket& packet, double until) = 0;
};

// As plan_sound says; null where there is none to be written. Throws Error{bad_input, output}.
std::unique_ptr<SoundTrack> open_sound(const EncoderOptions& options, const AVOutputFormat& container);

}  // namespace t2v
