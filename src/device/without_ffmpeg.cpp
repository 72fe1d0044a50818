// The video room on a machine without FFmpeg (docs/gpu.md): nothing can be read or written.
#include "t2v/error.h"
#include "video/read/decoder.h"
#include "video/write/encoder.h"

namespace t2v {

namespace {

[[noreturn]] void refuse(const std::string& file) {
  throw Error(ErrorKind::usage, file +
                                    ": this program was built without FFmpeg, and reads and writes no "
                                    "pictures and no videos");
}

}  // namespace

std::unique_ptr<VideoReader> open_video(const std::filesystem::path& path, const DecoderLimits&) {
  refuse(path.string());
}
Compression plan_compression(const EncoderOptions& options) { refuse(options.path); }
SoundPlan plan_sound(const EncoderOptions& options) { refuse(options.path); }
bool holds_codec(const std::string&, const std::string&) { return false; }
void check_output(const EncoderOptions& options, int64_t) { refuse(options.path); }
void check_output_name(const EncoderOptions& options, int64_t) { refuse(options.path); }
std::optional<std::string> note_on_leftovers(const std::string&, int64_t) { return std::nullopt; }
std::unique_ptr<FrameSink> open_encoder(const EncoderOptions& options) { refuse(options.path); }
std::unique_ptr<FrameSink> make_resizing_sink(std::unique_ptr<FrameSink>, int, int, const Resize&) {
  refuse("resizing");
}
std::unique_ptr<FrameSink> make_threaded_sink(std::unique_ptr<FrameSink>, std::size_t) { refuse("a sink"); }

}  // namespace t2v
