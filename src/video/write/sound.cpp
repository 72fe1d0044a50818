#include "video/write/sound.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "t2v/error.h"
#include "video/read/sound_reader.h"
#include "video/write/codec.h"
#include "video/write/encoded_sound.h"
#include "video/write/output_name.h"

namespace t2v {

namespace {

constexpr std::array movie_codecs{AV_CODEC_ID_AAC,  AV_CODEC_ID_MP3,  AV_CODEC_ID_AC3,
                                  AV_CODEC_ID_EAC3, AV_CODEC_ID_ALAC, AV_CODEC_ID_OPUS};
constexpr std::array pcm_codecs{AV_CODEC_ID_PCM_S16LE, AV_CODEC_ID_PCM_S24LE, AV_CODEC_ID_PCM_S32LE,
                                AV_CODEC_ID_PCM_F32LE};
constexpr std::array matroska_codecs{AV_CODEC_ID_VORBIS, AV_CODEC_ID_FLAC, AV_CODEC_ID_MP2, AV_CODEC_ID_DTS};

// Whether a file of that extension takes packets of the codec as they are. AVI has no times of its own for
// them.
bool takes(const std::string& extension, AVCodecID codec) {
  const auto among = [codec](const auto& codecs) {
    return std::find(codecs.begin(), codecs.end(), codec) != codecs.end();
  };
  if (extension == ".webm") return codec == AV_CODEC_ID_OPUS || codec == AV_CODEC_ID_VORBIS;
  if (extension == ".mp4") return among(movie_codecs);
  if (extension == ".mov") return codec != AV_CODEC_ID_OPUS && (among(movie_codecs) || among(pcm_codecs));
  if (extension == ".mkv") return among(movie_codecs) || among(pcm_codecs) || among(matroska_codecs);
  return false;
}

// What sound is encoded as beside pictures of that codec.
const char* encoder_for(const std::string& extension, const Codec& pictures) {
  const std::string codec = pictures.name;
  if (extension == ".avi" || codec == "ffv1" || codec == "prores") return "pcm_s16le";
  return extension == ".webm" ? "libopus" : "aac";
}

// Packets of one file, moved in time.
class CopiedSound : public SoundTrack {
 public:
  CopiedSound(const SoundPart& part, bool begins_before_zero)
      : reader_(part.source), waiting_(libav::allocated(av_packet_alloc())) {
    const auto stamps = [this](double seconds) {
      return std::llround(seconds / av_q2d(reader_.time_base()));
    };
    shift_ = stamps(part.at) - stamps(part.begins);
    end_ = stamps(part.at + part.seconds);
    // What a decoder needs before the first sample that is heard.
    const auto& stored = reader_.parameters();
    const double lead = begins_before_zero ? most_lead
                        : stored.sample_rate > 0
                            ? static_cast<double>(stored.initial_padding) / stored.sample_rate
                            : 0;
    first_ = stamps(part.at) - stamps(lead);
  }

  const AVCodecParameters& parameters() const override { return reader_.parameters(); }
  AVRational time_base() const override { return reader_.time_base(); }

  bool next(AVPacket& packet, double until) override {
    if (!is_waiting_ && !wait_for_one()) return false;
    if (static_cast<double>(waiting_->pts) * av_q2d(time_base()) > until) return false;
    av_packet_move_ref(&packet, waiting_.get());
    is_waiting_ = false;
    return true;
  }

 private:
  static constexpr double most_lead = 0.1;  // seconds

  bool wait_for_one() {
    while (!ended_ && reader_.read(*waiting_)) {
      auto& packet = *waiting_;
      if (packet.pts == AV_NOPTS_VALUE) packet.pts = packet.dts;
      if (packet.pts == AV_NOPTS_VALUE) continue;
      packet.pts += shift_;
      packet.dts = packet.pts;  // sound is stored in the order in which it is heard
      if (packet.pts < first_ || packet.pts <= last_) continue;
      if (packet.pts >= end_) break;
      last_ = packet.pts;
      return is_waiting_ = true;
    }
    ended_ = true;
    return false;
  }

  SoundReader reader_;
  libav::Packet waiting_;
  bool is_waiting_ = false, ended_ = false;
  int64_t shift_ = 0, first_ = 0, end_ = 0;  // in the time base
  int64_t last_ = INT64_MIN;
};

}  // namespace

SoundPlan plan_sound(const EncoderOptions& options) {
  if (options.sound.empty()) return {};
  const auto kind = parse_output_name(options.path);
  if (kind != OutputKind::movie)
    return {
        {}, false, kind == OutputKind::y4m ? "y4m holds none" : extension_of(options.path) + " holds none"};
  const auto extension = extension_of(options.path);
  std::string stored;
  for (const auto& part : options.sound) {
    const SoundReader reader(part.source);
    stored = avcodec_get_name(reader.parameters().codec_id);
    if (options.sound.size() == 1 && takes(extension, reader.parameters().codec_id))
      return {stored, true, {}};
    if (avcodec_find_decoder(reader.parameters().codec_id) == nullptr)
      return {{}, false, "this FFmpeg cannot decode " + stored};
  }
  const std::string encoder = encoder_for(extension, codec_of(options));
  if (avcodec_find_encoder_by_name(encoder.c_str()) == nullptr)
    return {{}, false, "this FFmpeg was built without " + encoder + ", which " + extension + " needs"};
  return {encoder, false,
          options.sound.size() > 1 ? "several are joined" : stored + " does not fit into " + extension};
}

std::unique_ptr<SoundTrack> open_sound(const EncoderOptions& options, const AVOutputFormat& container) {
  const auto plan = plan_sound(options);
  if (plan.codec.empty()) return nullptr;
  if (plan.is_copied)
    return std::make_unique<CopiedSound>(options.sound.front(), (container.flags & AVFMT_TS_NEGATIVE) != 0);
  return open_encoded_sound(options.sound, plan.codec, options.path, container);
}

}  // namespace t2v
