// Frames as they travel between the VAE and files: packed RGB, in order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace t2v {

struct Frame {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3], row by row
  double time = 0;           // of a frame that was read: seconds after the first; sinks go by their own rate
  std::vector<uint16_t> rgb16 = {};  // in place of rgb, for sinks of more than eight bits

  bool is_deep() const { return !rgb16.empty(); }
};

class FrameSink {
 public:
  virtual ~FrameSink() = default;  // without finish(): what was written is discarded
  // All frames have the size the sink was opened with. Throws Error{output}.
  virtual void write(const Frame& frame) = 0;
  // Flushes and gives the file its final name. Throws Error{output}.
  virtual void finish() = 0;
};

class FrameSource {
 public:
  virtual ~FrameSource() = default;
  // The next frame, or nothing at the end. Throws Error{bad_input}.
  virtual std::optional<Frame> read() = 0;
};

}  // namespace t2v
