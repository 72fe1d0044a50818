// The sound of an image or video file, copied into one file, and decoded, resampled and encoded into another.
// libav is not instrumented: see media.cpp, and there the note on its leaks.
#include "video/write/sound.h"
#include "input.h"

extern "C" const char* __lsan_default_suppressions() {
  return "leak:libavformat\nleak:libavcodec\nleak:libavutil\nleak:libavfilter\n";
}

namespace t2v::fuzz {

namespace {

// Packets have times, each one later than the one before.
void read_all(const EncoderOptions& options, const char* container) {
  accepts([&] {
    const auto sound = open_sound(options, *av_guess_format(container, nullptr, nullptr));
    if (!sound) return;
    const libav::Packet packet(libav::allocated(av_packet_alloc()));
    constexpr double until = 0.5;
    for (int64_t last = INT64_MIN; sound->next(*packet, until); av_packet_unref(packet.get())) {
      if (packet->pts == AV_NOPTS_VALUE || packet->pts <= last)
        throw std::logic_error("packets out of order");
      last = packet->pts;
    }
  });
}

}  // namespace

}  // namespace t2v::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace t2v;
  const fuzz::MemoryFile input(data, size);
  EncoderOptions options{.path = "clip.mkv", .width = 64, .height = 64, .fps = {8, 1}};
  options.sound = {{input.path(), 0, 0.25, 0.125}};
  fuzz::read_all(options, "matroska");
  options.path = "clip.webm";
  options.sound.push_back({input.path(), 0.125, 0.25, 0.5});
  fuzz::read_all(options, "webm");
  return 0;
}
