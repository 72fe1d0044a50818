// Sound that is decoded, put to its places with silence between, and encoded again.
#pragma once

#include "video/write/sound.h"

namespace t2v {

// parts: one after the other. encoder: libav's name. The first one's rate, where the encoder takes it, and
// the channels of the one that has most. Throws Error{bad_input, output}.
std::unique_ptr<SoundTrack> open_encoded_sound(const std::vector<SoundPart>& parts,
                                               const std::string& encoder, const std::string& path,
                                               const AVOutputFormat& container);

}  // namespace t2v
