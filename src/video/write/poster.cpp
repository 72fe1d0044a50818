#include "video/write/poster.h"

#include <algorithm>

#include "t2v/error.h"
#include "video/libav.h"
#include "video/scaler.h"

namespace t2v {

std::string encode_poster(const Frame& frame, int longest_side) {
  libav::prepare_library();
  const auto check = [](int result) {
    if (result >= 0) return;
    const auto complaint = libav::complaint();
    if (libav::is_out_of_memory(result, complaint)) throw std::bad_alloc();
    throw Error(ErrorKind::internal, "JPEG encoder: " + libav::error_text(result) + complaint);
  };
  const double factor = std::min(1.0,
                                 static_cast<double>(longest_side) / std::max(frame.width, frame.height));
  const auto side = [&](int length) { return std::max(1, static_cast<int>(length * factor + 0.5)); };
  const PictureFormat from{frame.width, frame.height};
  const PictureFormat to{side(frame.width), side(frame.height), AV_PIX_FMT_YUV444P,
                         AVCOL_SPC_BT470BG};  // JFIF's matrix, full range

  const auto* codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG);
  if (codec == nullptr) throw Error(ErrorKind::internal, "this FFmpeg was built without its JPEG encoder");
  const libav::CodecContext jpeg(libav::allocated(avcodec_alloc_context3(codec)));
  jpeg->width = to.width;
  jpeg->height = to.height;
  jpeg->pix_fmt = to.pixels;
  jpeg->color_range = AVCOL_RANGE_JPEG;
  jpeg->time_base = {1, 1};
  jpeg->thread_count = 1;
  jpeg->flags |= AV_CODEC_FLAG_QSCALE;
  jpeg->global_quality = 3 * FF_QP2LAMBDA;  // 2 is the best
  check(avcodec_open2(jpeg.get(), codec, nullptr));

  const auto rgb = make_picture(from), yuv = make_picture(to);
  copy_to_picture(frame, *rgb);
  scale(*make_scaler(from, to, SWS_AREA), *rgb, *yuv);
  yuv->color_range = AVCOL_RANGE_JPEG;
  yuv->quality = jpeg->global_quality;
  const libav::Packet packet(libav::allocated(av_packet_alloc()));
  check(avcodec_send_frame(jpeg.get(), yuv.get()));
  check(avcodec_send_frame(jpeg.get(), nullptr));
  check(avcodec_receive_packet(jpeg.get(), packet.get()));
  return {reinterpret_cast<const char*>(packet->data), static_cast<std::size_t>(packet->size)};
}

}  // namespace t2v
