// An image or video file: every frame that is read has the size it claims. libav itself is not instrumented,
// so that only crashes in it and reads beyond what we gave it are seen.
#include "input.h"
#include "video/read/decoder.h"

// Note: [Leaks in libav]
// Some of libav 5.1's demuxers lose small buffers when they refuse a file; LeakSanitizer reports them at the
// end of the run though no code of ours is on the stack. Leaks of our own owners (src/video/libav.h) would
// show in the other sanitizer runs of the unit tests.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libavformat\nleak:libavcodec\nleak:libavutil\n";
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace t2v;
  const fuzz::MemoryFile input(data, size);
  const DecoderLimits limits{
      .pixels_per_frame = 128L * 128L, .frames = 16, .reads_transparency = size % 2 == 1};
  fuzz::accepts([&] {
    const auto reader = open_video(input.path(), limits);
    while (const auto frame = reader->read()) {
      if (static_cast<long>(frame->width) * frame->height > limits.pixels_per_frame)
        throw std::logic_error("more pixels than the limit");
      if (frame->rgb.size() != static_cast<std::size_t>(frame->width) * frame->height * 3)
        throw std::logic_error("a frame of another size than it says");
    }
  });
  return 0;
}
