#include "pipeline/source_frames.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "nn/picture_resampling.h"
#include "pipeline/frames.h"
#include "t2v/error.h"
#include "video/write/encoder.h"

namespace t2v {

namespace {

// Images have no rate: a sequence has the clip's.
double rate_of(const VideoInfo& info, double fps) {
  return info.fps.numerator == 0 ? fps : static_cast<double>(info.fps.numerator) / info.fps.denominator;
}

// The stored frame that stands at a frame of the clip.
int64_t stored_frame(int64_t frame, double fps, double rate) {
  return std::llround(static_cast<double>(frame) / fps * rate);
}

// The largest part of the picture that has the shape of `target`, from its middle.
Frame cropped(const Frame& frame, PixelSize target) {
  int64_t width = frame.width, height = frame.height;
  if (width * target.height > height * target.width)
    width = std::max<int64_t>(1, height * target.width / target.height);
  else
    height = std::max<int64_t>(1, width * target.height / target.width);
  const auto left = (frame.width - width) / 2, top = (frame.height - height) / 2;
  Frame part{static_cast<int>(width), static_cast<int>(height), {}, frame.time};
  part.rgb.resize(static_cast<std::size_t>(width * height * 3));
  for (int64_t y = 0; y < height; ++y)
    std::memcpy(part.rgb.data() + y * width * 3, frame.rgb.data() + ((top + y) * frame.width + left) * 3,
                static_cast<std::size_t>(width * 3));
  return part;
}

// Black around the picture until it has the shape of `target`.
Frame padded(const Frame& frame, PixelSize target) {
  int64_t width = frame.width, height = frame.height;
  if (width * target.height > height * target.width)
    height = width * target.height / target.width;
  else
    width = height * target.width / target.height;
  width = std::max<int64_t>(width, frame.width);
  height = std::max<int64_t>(height, frame.height);
  const auto left = (width - frame.width) / 2, top = (height - frame.height) / 2;
  Frame whole{static_cast<int>(width), static_cast<int>(height), {}, frame.time};
  whole.rgb.resize(static_cast<std::size_t>(width * height * 3));
  for (int64_t y = 0; y < frame.height; ++y)
    std::memcpy(whole.rgb.data() + ((top + y) * width + left) * 3, frame.rgb.data() + y * frame.width * 3,
                static_cast<std::size_t>(frame.width) * 3);
  return whole;
}

Frame resized(const Frame& frame, PixelSize size) {
  if (frame.width == size.width && frame.height == size.height) return frame;
  return frame_of(resample_picture(bytes_of(frame), size.width, size.height, ResamplingFilter::lanczos));
}

Frame fitted(const Frame& frame, PixelSize size, Fit fit) {
  if (fit == Fit::stretch) return resized(frame, size);
  return resized(fit == Fit::crop ? cropped(frame, size) : padded(frame, size), size);
}

// Of the RGB bytes of all frames, and how many there are.
std::pair<std::string, int64_t> hash_of_frames(VideoReader& reader) {
  int64_t frames = 0;
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  XXH3_64bits_reset(state.get());
  while (const auto frame = reader.read()) {
    XXH3_64bits_update(state.get(), frame->rgb.data(), frame->rgb.size());
    ++frames;
  }
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits_digest(state.get())));
  return {hash, frames};
}

}  // namespace

Fit parse_fit(const std::string& name) {
  if (name == "crop") return Fit::crop;
  if (name == "pad") return Fit::pad;
  if (name == "stretch") return Fit::stretch;
  throw Error(ErrorKind::usage, "--fit should be crop, pad or stretch, found '" + name + "'");
}

SourceInfo look_at_source(const std::string& path, double fps, bool is_mask) {
  const auto reader = open_video(path);
  const auto [hash, stored] = hash_of_frames(*reader);
  if (stored == 0) throw Error(ErrorKind::bad_input, path + ": has no frames");
  const auto& info = reader->info();
  const double rate = rate_of(info, fps);
  SourceInfo source{.size = {info.width, info.height},
                    .frames = 1,
                    .is_video = stored > 1,
                    .has_sound = info.has_sound,
                    .is_transparent = std::find(info.notes.begin(), info.notes.end(), transparency_note) !=
                                      info.notes.end(),
                    .begins = info.begins,
                    .notes = info.notes,
                    .hash = hash};
  if (is_mask && source.is_transparent)
    source.hash = hash_of_frames(*open_video(path, {.reads_transparency = true})).first;
  if (stored > 1)
    source.frames = std::max<int64_t>(1, std::llround(static_cast<double>(stored) / rate * fps));
  while (source.frames > 1 && stored_frame(source.frames - 1, fps, rate) >= stored) --source.frames;
  return source;
}

Frame read_picture(const std::string& path) {
  auto frame = open_video(path)->read();
  if (!frame) throw Error(ErrorKind::bad_input, path + ": has no frames");
  return std::move(*frame);
}

struct SourceFrames::State {
  std::string path;
  std::unique_ptr<VideoReader> reader;
  double fps = 0, rate = 0;
  PixelSize size;
  Fit fit = Fit::crop;
  int64_t next = 0;              // frame of the clip's rate
  int64_t read = 0;              // stored frames that were read
  std::optional<Frame> current;  // the last of them, as it is stored
  Frame ready;                   // the same, fitted
  int64_t ready_of = -1;
  bool ended = false;
};

SourceFrames::SourceFrames(const std::string& path, double fps, PixelSize size, Fit fit, int64_t from,
                           bool reads_transparency)
    : state_(std::make_unique<State>()) {
  state_->path = path;
  state_->reader = open_video(path, {.reads_transparency = reads_transparency});
  state_->fps = fps;
  state_->rate = rate_of(state_->reader->info(), fps);
  state_->size = size;
  state_->fit = fit;
  state_->next = from;
}
SourceFrames::~SourceFrames() = default;

std::optional<Frame> SourceFrames::next() {
  auto& s = *state_;
  const auto wanted = stored_frame(s.next, s.fps, s.rate);
  while (!s.ended && s.read <= wanted) {
    auto frame = s.reader->read();
    if (!frame) {
      s.ended = true;
      break;
    }
    s.current = std::move(frame);
    ++s.read;
  }
  if (!s.current || (s.ended && s.read > 1 && s.read <= wanted)) return std::nullopt;
  ++s.next;
  if (s.ready_of != s.read) {
    s.ready = fitted(*s.current, s.size, s.fit);
    s.ready_of = s.read;
  }
  return s.ready;
}

}  // namespace t2v
