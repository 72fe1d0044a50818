// The only header that includes libav's: owning pointers, the differences between FFmpeg 5.1 and 7.x, errors
// as text, and quiet logging.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavformat/avformat.h>
#include <libavutil/audio_fifo.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>
#include <utility>

namespace t2v::libav {

// Owning pointers. Each deleter is the library's own function; those that take T** get the address of a local
// copy.
template <class T, auto release>
struct DeleteByAddress {
  void operator()(T* pointer) const { release(&pointer); }
};
template <class T, auto release>
struct DeleteByPointer {
  void operator()(T* pointer) const { release(pointer); }
};
struct DeleteIo {
  void operator()(AVIOContext* io) const {
    av_freep(&io->buffer);  // libav may have replaced the buffer that was passed to avio_alloc_context
    avio_context_free(&io);
  }
};

using Packet = std::unique_ptr<AVPacket, DeleteByAddress<AVPacket, av_packet_free>>;
using Picture = std::unique_ptr<AVFrame, DeleteByAddress<AVFrame, av_frame_free>>;
using CodecContext = std::unique_ptr<AVCodecContext, DeleteByAddress<AVCodecContext, avcodec_free_context>>;
using CodecParameters = std::unique_ptr<AVCodecParameters,
                                        DeleteByAddress<AVCodecParameters, avcodec_parameters_free>>;
using SampleQueue = std::unique_ptr<AVAudioFifo, DeleteByPointer<AVAudioFifo, av_audio_fifo_free>>;
using InputFormat = std::unique_ptr<AVFormatContext, DeleteByAddress<AVFormatContext, avformat_close_input>>;
using OutputFormat = std::unique_ptr<AVFormatContext,
                                     DeleteByPointer<AVFormatContext, avformat_free_context>>;
using FilterGraph = std::unique_ptr<AVFilterGraph, DeleteByAddress<AVFilterGraph, avfilter_graph_free>>;
using Io = std::unique_ptr<AVIOContext, DeleteIo>;
using Scaler = std::unique_ptr<SwsContext, DeleteByPointer<SwsContext, sws_freeContext>>;

// An AVDictionary with an owner; address() is for calls that take and replace it.
class Dictionary {
 public:
  Dictionary() = default;
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;
  ~Dictionary() { av_dict_free(&entries_); }
  void set(const char* key, const std::string& value) { av_dict_set(&entries_, key, value.c_str(), 0); }
  AVDictionary** address() { return &entries_; }

 private:
  AVDictionary* entries_ = nullptr;
};

// The data argument of an AVIOContext's write callback became const in FFmpeg 7.0.
#if LIBAVFORMAT_VERSION_MAJOR >= 61
using WrittenBytes = const uint8_t;
#else
using WrittenBytes = uint8_t;
#endif

// The 3x3 display matrix of a stream (int32[9], as av_display_rotation_get takes it), or null. Side data
// moved to the codec parameters in FFmpeg 6.1.
const int32_t* display_matrix(const AVStream& stream);
// The same of one picture.
const int32_t* display_matrix(const AVFrame& picture);

// In the stream's time base; 0 when unknown. The field was renamed in FFmpeg 6.0, the next one became a flag
// in 6.1.
int64_t duration(const AVFrame& picture);
bool is_interlaced(const AVFrame& picture);

// libav's text for an error code ("Invalid data found when processing input").
std::string error_text(int code);

// Once per process: turns libav's chatter on stderr off (its error lines are kept for complaint()) and bounds
// the memory that it takes at once.
void prepare_library();
// What libav logged last as an error on any thread, as " (libav: …)", and forgets it; empty when it logged
// nothing. A hint for messages only.
std::string complaint();

// Whether an encoder's error code, with the complaint() that goes with it, means that there was no memory.
// x264 says no more than AVERROR_EXTERNAL and logs nothing when it gets none, or no thread; where something
// else is wrong it logs what.
bool is_out_of_memory(int code, const std::string& complaint);

// Throws std::bad_alloc when an allocation of libav returned null.
template <class T>
T* allocated(T* pointer) {
  if (pointer == nullptr) throw std::bad_alloc();
  return pointer;
}

}  // namespace t2v::libav
