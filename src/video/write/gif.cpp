#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/atomic_file.h"
#include "t2v/error.h"
#include "video/scaler.h"
#include "video/write/movie_file.h"
#include "video/write/sinks.h"

namespace t2v {

namespace {

// Source: GIF89a specification, sections 24 (comment extension) and 15 (data sub-blocks).
std::string comment_block(const std::string& text) {
  constexpr std::size_t most_in_sub_block = 255;
  std::string block = "\x21\xFE";
  for (std::size_t at = 0; at < text.size(); at += most_in_sub_block) {
    const auto part = text.substr(at, most_in_sub_block);
    block += static_cast<char>(part.size()) + part;
  }
  return block + '\0';
}

// libavfilter's filters as a graph with named ends.
class Filters {
 public:
  Filters(const std::string& file, const std::string& description)
      : file_(file), graph_(libav::allocated(avfilter_graph_alloc())) {
    graph_->nb_threads = 1;
    AVFilterInOut *inputs = nullptr, *outputs = nullptr;
    const int result = avfilter_graph_parse2(graph_.get(), description.c_str(), &inputs, &outputs);
    avfilter_inout_free(&inputs);
    avfilter_inout_free(&outputs);
    check(result);
    check(avfilter_graph_config(graph_.get(), nullptr));
  }

  // Null ends the input.
  void push(const char* input, AVFrame* picture) {
    check(av_buffersrc_add_frame_flags(end(input), picture, AV_BUFFERSRC_FLAG_KEEP_REF));
  }
  libav::Picture pull(const char* output) {
    libav::Picture picture(libav::allocated(av_frame_alloc()));
    check(av_buffersink_get_frame(end(output), picture.get()));
    return picture;
  }

 private:
  AVFilterContext* end(const char* name) const { return avfilter_graph_get_filter(graph_.get(), name); }

  void check(int result) const {
    if (result >= 0) return;
    const auto complaint = libav::complaint();
    if (libav::is_out_of_memory(result, complaint)) throw std::bad_alloc();
    throw Error(ErrorKind::output, file_ + ": palette: " + libav::error_text(result) + complaint);
  }

  std::string file_;
  libav::FilterGraph graph_;
};

std::string input_of(const char* name, int width, int height, const char* pixels) {
  return "buffer@" + std::string(name) + "=video_size=" + std::to_string(width) + "x" +
         std::to_string(height) + ":pix_fmt=" + pixels + ":time_base=1/1:pixel_aspect=1/1";
}

// Frames one after another in a file that nobody else sees.
class WaitingFrames {
 public:
  explicit WaitingFrames(const std::string& beside) : file_(beside) {}

  void add(const Frame& frame) {
    file_.write(frame.rgb.data(), frame.rgb.size());
    ++count_;
  }
  long count() const { return count_; }
  void read(long index, Frame& frame) const {
    for (std::size_t done = 0; done < frame.rgb.size();) {
      const auto at = static_cast<off_t>(index * static_cast<long>(frame.rgb.size()) +
                                         static_cast<long>(done));
      const auto got = ::pread(file_.descriptor(), frame.rgb.data() + done, frame.rgb.size() - done, at);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        throw Error(ErrorKind::output, file_.temporary_path().string() + ": cannot be read back (" +
                                           std::strerror(got < 0 ? errno : EIO) + ")");
      done += static_cast<std::size_t>(got);
    }
  }

 private:
  AtomicFile file_;  // never committed
  long count_ = 0;
};

class GifSink : public FrameSink {
 public:
  explicit GifSink(const EncoderOptions& options)
      : movie_(options),
        waiting_(options.path),
        frames_input_(input_of("frames", options.width, options.height, "rgb24")),
        palette_(options.path, frames_input_ + ",palettegen,buffersink@palette"),
        rgb_(make_picture({options.width, options.height})) {
    for (const auto& [key, value] : options.metadata)
      if (key == "comment") comment_ = value;
  }

  void write(const Frame& frame) override {
    copy(frame);
    palette_.push("buffer@frames", rgb_.get());
    waiting_.add(frame);
  }

  void finish() override {
    palette_.push("buffer@frames", nullptr);
    const auto colours = palette_.pull("buffersink@palette");
    Filters dither(movie_.file().name(),
                   frames_input_ + "[frames];" +
                       input_of("palette", colours->width, colours->height,
                                av_get_pix_fmt_name(static_cast<AVPixelFormat>(colours->format))) +
                       "[palette];[frames][palette]paletteuse,buffersink@out");
    dither.push("buffer@palette", colours.get());
    dither.push("buffer@palette", nullptr);
    Frame frame{rgb_->width, rgb_->height, {}};
    frame.rgb.resize(static_cast<std::size_t>(frame.width) * frame.height * 3);
    for (long i = 0; i < waiting_.count(); ++i) {
      waiting_.read(i, frame);
      copy(frame);
      rgb_->pts = i;
      dither.push("buffer@frames", rgb_.get());
      const auto picture = dither.pull("buffersink@out");
      movie_.encode(*picture);
    }
    movie_.end();
    add_comment();
    movie_.finish();
  }

 private:
  void copy(const Frame& frame) {
    if (av_frame_make_writable(rgb_.get()) < 0) throw std::bad_alloc();
    copy_to_picture(frame, *rgb_);
  }

  // libav's muxer writes none. In front of the trailer, the last byte.
  void add_comment() {
    if (comment_.empty()) return;
    auto& file = movie_.file();
    file.seek(-1, SEEK_END);
    const auto end = comment_block(comment_) + ';';
    file.write(end.data(), end.size());
  }

  MovieFile movie_;
  WaitingFrames waiting_;
  std::string frames_input_;
  Filters palette_;
  libav::Picture rgb_;
  std::string comment_;
};

}  // namespace

std::unique_ptr<FrameSink> open_gif(const EncoderOptions& options) {
  libav::prepare_library();
  return std::make_unique<GifSink>(options);
}

}  // namespace t2v
