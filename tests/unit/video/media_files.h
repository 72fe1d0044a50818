// Media files that t2v's own encoder does not write: some byte by byte, others by the ffmpeg program.
#pragma once

#include <cstdint>

#include "ffmpeg.h"
#include "support.h"

namespace t2v::test {

struct GifFrame {
  int colour = 0;  // of {black, red, green, blue}
  int delay = 10;  // hundredths of a second
};

// Frames of one pixel. Colour `transparent` of the table is see-through, if it is one of 0 to 3.
inline std::string gif_bytes(const std::vector<GifFrame>& frames, int transparent = -1) {
  const auto bytes = [](std::initializer_list<int> values) {
    std::string text;
    for (const int value : values) text += static_cast<char>(value);
    return text;
  };
  auto gif = "GIF89a" + bytes({1, 0, 1, 0, 0x81, 0, 0, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255});
  for (const auto& frame : frames) {
    const bool see_through = transparent >= 0;
    gif += bytes({0x21, 0xF9, 4, see_through ? 1 : 0, frame.delay % 256, frame.delay / 256,
                  see_through ? transparent : 0, 0});
    // LZW codes of three bits: clear (4), the colour, end (5).
    const int codes = 4 | frame.colour << 3 | 5 << 6;
    gif += bytes({0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, codes % 256, codes / 256, 0});
  }
  return gif + ";";
}

// A TIFF that holds nothing but the tag Orientation. Source: CIPA DC-008 (EXIF 2.32), section 4.6.
inline std::string exif_orientation(int tag) {
  const char tiff[] = {'I',  'I', 42, 0, 8, 0, 0, 0, 1,
                       0,  // one entry
                       0x12, 1,   3,  0, 1, 0, 0, 0, static_cast<char>(tag),
                       0,    0,   0,  0, 0, 0, 0};  // SHORT
  return {tiff, sizeof tiff};
}

inline std::string jpeg_with_orientation(const std::string& jpeg, int tag) {
  const std::string exif = std::string("Exif\0\0", 6) + exif_orientation(tag);
  const char length = static_cast<char>(exif.size() + 2);
  return jpeg.substr(0, 2) + std::string("\xFF\xE1\0", 3) + length + exif + jpeg.substr(2);
}

// Runs ffmpeg in `folder` with these arguments and expects it to succeed.
inline void ffmpeg(const TemporaryFolder& folder, const std::string& arguments) {
  const auto command = "cd '" + folder.path().string() + "' && ffmpeg -v error -y " + arguments;
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

// Whether a note of the reader holds `part`; reads to the end first, when the notes are complete.
inline bool notes_hold(VideoReader& reader, const std::string& part) {
  while (reader.read()) {
  }
  const auto& notes = reader.info().notes;
  return std::any_of(notes.begin(), notes.end(),
                     [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

}  // namespace t2v::test
