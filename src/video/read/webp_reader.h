// Animated WebP, of which FFmpeg before 8 reads no picture: its frames are decoded one by one as still
// images.
#pragma once

#include "video/read/decoder.h"
#include "video/read/input_file.h"

namespace t2v {

bool is_animated_webp(const InputFile& file);

// As open_video.
std::unique_ptr<VideoReader> open_animated_webp(const std::filesystem::path& path,
                                                const DecoderLimits& limits);

// What a WebP file of any kind says in XMP.
std::map<std::string, std::string> webp_metadata(const InputFile& file);

}  // namespace t2v
