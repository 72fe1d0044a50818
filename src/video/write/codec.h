// The codecs that frames are written with: which names take which, and how libav's encoders are set up.
#pragma once

#include <string>
#include <vector>

#include "video/libav.h"
#include "video/write/encoder.h"

namespace t2v {

struct Codec {
  const char* name;     // as --codec takes it
  const char* title;    // as people write it
  const char* encoder;  // libav's name of it; nullptr: none is needed
  AVPixelFormat pixels;
  int most_crf = 0;       // 0: has no crf
  int64_t usual_crf = 0;  // or quality, where there is no crf but a quality
  bool has_quality = most_crf > 0;

  bool is_deep() const;
  bool is_rgb() const;
};

// The codec of the options' path and codec. Throws Error{usage} as plan_compression.
const Codec& codec_of(const EncoderOptions& options);

// libav's encoder. Throws Error{output} naming the codec and what there is instead.
const AVCodec& encoder_of(const Codec& codec, const std::string& path);

// A context with size, rate, colour tags and threads, and in `settings` what goes to avcodec_open2: the same
// frames and options give the same bytes on every machine with the same encoder.
libav::CodecContext make_codec_context(const Codec& codec, const EncoderOptions& options,
                                       libav::Dictionary& settings);

}  // namespace t2v
