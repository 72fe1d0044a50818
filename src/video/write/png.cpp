#include "video/write/png.h"

#include <algorithm>

#include "t2v/error.h"
#include "video/libav.h"

namespace t2v {

namespace {

void check(int code) {
  if (code < 0)
    throw Error(ErrorKind::bad_input, "PNG image: cannot be read (" + libav::error_text(code) + ")");
}

}  // namespace

RgbaImage decode_png(const uint8_t* data, std::size_t size) {
  const auto* codec = avcodec_find_decoder(AV_CODEC_ID_PNG);
  if (codec == nullptr) throw Error(ErrorKind::internal, "libavcodec was built without its PNG decoder");
  const libav::CodecContext context(avcodec_alloc_context3(codec));
  const libav::Packet packet(av_packet_alloc());
  const libav::Picture picture(av_frame_alloc());
  if (!context || !packet || !picture) throw Error(ErrorKind::out_of_memory, "PNG image: no memory left");
  context->thread_count = 1;
  check(av_new_packet(packet.get(), static_cast<int>(size)));
  std::copy_n(data, size, packet->data);
  check(avcodec_open2(context.get(), codec, nullptr));
  check(avcodec_send_packet(context.get(), packet.get()));
  check(avcodec_receive_frame(context.get(), picture.get()));
  if (picture->format != AV_PIX_FMT_RGBA)
    throw Error(ErrorKind::bad_input, "PNG image: expected 8-bit RGBA, found another format");
  RgbaImage image{picture->width, picture->height, {}};
  const auto row = static_cast<std::size_t>(image.width) * 4;
  image.rgba.resize(row * static_cast<std::size_t>(image.height));
  for (int y = 0; y < image.height; ++y)
    std::copy_n(picture->data[0] + static_cast<std::ptrdiff_t>(y) * picture->linesize[0], row,
                image.rgba.begin() + static_cast<std::ptrdiff_t>(row) * y);
  return image;
}

}  // namespace t2v
