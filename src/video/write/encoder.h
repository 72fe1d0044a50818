// Video and image files from frames, by libav.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "t2v/request.h"
#include "video/frame.h"

namespace t2v {

struct Rational {
  int numerator = 0;
  int denominator = 1;
};

struct Resize {
  int width = 0;
  int height = 0;
  bool nearest = false;  // otherwise lanczos
};

struct EncoderOptions {
  // File name, "-" for stdout (y4m), or a name with %d / %05d for a sequence of PNG files, numbered from 0.
  // The container follows the extension.
  std::string path;
  int width = 0;  // of the frames that will be written
  int height = 0;
  Rational fps = {};
  std::optional<std::string> codec = {};  // otherwise the container's usual one
  // One of these at most; otherwise the codec's usual crf or quality.
  std::optional<int64_t> crf = {};      // 0 is the best
  std::optional<int64_t> quality = {};  // 0 to 100, the best
  std::optional<int64_t> bitrate = {};  // bits per second
  std::optional<Resize> resize = {};
  std::vector<std::pair<std::string, std::string>> metadata = {};  // key, value: title, comment, …
  std::vector<SoundPart> sound = {};                               // one after the other
};

// What becomes of the options of a file's compression.
struct Compression {
  std::string codec;     // as --codec takes it
  bool is_deep = false;  // more than eight bits: frames may come as rgb16
  bool holds_metadata = true;
  std::optional<int64_t> crf, quality, bitrate;  // what is compressed by; none where the codec has no choice
  std::vector<std::string> notes;                // a line each on what the codec has no use for
};

// What becomes of the options' sound.
struct SoundPlan {
  std::string codec;       // libav's name of what is stored; empty: none is
  bool is_copied = false;  // as it is stored in the source; otherwise decoded and encoded
  std::string why;         // of several parts, or where it is not copied
};

// Throws Error{bad_input} for a source that cannot be read.
SoundPlan plan_sound(const EncoderOptions& options);

// Throws Error{usage} for a codec that the container does not hold, values out of the codec's range and
// several of crf, quality and bitrate, Error{output} for a codec that this FFmpeg lacks.
Compression plan_compression(const EncoderOptions& options);

// Whether a file of that name may hold the codec.
bool holds_codec(const std::string& path, const std::string& codec);

// Checks name and extension and that the folder can be written, before anything expensive happens. Throws
// Error{usage} for a name that can never work (unknown extension, "http:", "concat:", "pipe:", "-" while
// stdout is a terminal; a name that is too long), Error{output} for a missing or read-only folder, a device
// or a pipe.
void check_output(const std::string& path);

// The same, and that the container holds so many frames of that size, by that codec, at that rate. Throws as
// plan_compression, and Error{usage} for odd sizes where the colours are subsampled, several frames in one
// image, and a sequence whose last name is too long.
void check_output(const EncoderOptions& options, int64_t frames);

// What stays beside a sequence of `frames` images that has been written: images of an earlier, longer one,
// which whoever reads the sequence takes as its end. One line, or nothing.
std::optional<std::string> note_on_leftovers(const std::string& path, int64_t frames);
// The same without looking whether the folder can be written, for many files in one folder.
void check_output_name(const std::string& path);
void check_output_name(const EncoderOptions& options, int64_t frames);

// Opens the file under a temporary name; finish() gives it its own. The sink takes frames of eight bits, and
// of sixteen where the codec is deep. Throws Error{output}, Error{usage} as check_output.
std::unique_ptr<FrameSink> open_encoder(const EncoderOptions& options);

// Passes frames on to `sink` resized from width x height. Each of R, G and B is filtered by itself, since
// swscale would go through YUV; lanczos keeps its three lobes (and widens them when shrinking), nearest takes
// the source pixel under each target pixel's centre.
std::unique_ptr<FrameSink> make_resizing_sink(std::unique_ptr<FrameSink> sink, int width, int height,
                                              const Resize& resize);

// Hands frames to `sink` on a thread of its own through a queue of at most `capacity` frames; write() blocks
// while the queue is full. An error of the sink is thrown by the next write() or by finish().
std::unique_ptr<FrameSink> make_threaded_sink(std::unique_ptr<FrameSink> sink, std::size_t capacity = 8);

}  // namespace t2v
