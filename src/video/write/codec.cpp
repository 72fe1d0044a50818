#include "video/write/codec.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "t2v/error.h"
#include "video/write/output_name.h"

namespace t2v {

namespace {

// An encoder's output may depend on the number of threads; a number of our own keeps it from depending on the
// machine.
constexpr int encoder_threads = 4;

constexpr std::array<Codec, 11> codecs{{{"h264", "H.264", "libx264", AV_PIX_FMT_YUV420P, 51, 18},
                                        {"hevc", "HEVC", "libx265", AV_PIX_FMT_YUV420P10LE, 51, 20},
                                        {"prores", "ProRes", "prores_ks", AV_PIX_FMT_YUV422P10LE},
                                        {"ffv1", "FFV1", "ffv1", AV_PIX_FMT_GBRP16LE},
                                        {"av1", "AV1", "libaom-av1", AV_PIX_FMT_YUV420P10LE, 63, 24},
                                        {"vp9", "VP9", "libvpx-vp9", AV_PIX_FMT_YUV420P, 63, 24},
                                        {"gif", "GIF", "gif", AV_PIX_FMT_PAL8},
                                        {"webp", "WebP", "libwebp_anim", AV_PIX_FMT_BGRA, 0, 85, true},
                                        {"png", "PNG", "png", AV_PIX_FMT_RGB24},
                                        {"png16", "16-bit PNG", "png", AV_PIX_FMT_RGB48BE},
                                        {"y4m", "y4m", nullptr, AV_PIX_FMT_YUV444P}}};

const Codec* find_codec(const std::string& name) {
  const auto* found = std::find_if(codecs.begin(), codecs.end(),
                                   [&](const Codec& codec) { return name == codec.name; });
  return found == codecs.end() ? nullptr : found;
}

// The usual one first.
std::vector<std::string> codecs_in(const std::string& path) {
  const auto kind = parse_output_name(path);
  if (kind == OutputKind::y4m) return {"y4m"};
  if (kind == OutputKind::image || kind == OutputKind::image_sequence) return {"png", "png16"};
  if (kind == OutputKind::gif) return {"gif"};
  if (kind == OutputKind::webp) return {"webp"};
  const auto extension = extension_of(path);
  if (extension == ".mov") return {"h264", "hevc", "prores"};
  if (extension == ".mkv") return {"h264", "hevc", "ffv1", "av1", "vp9"};
  if (extension == ".webm") return {"vp9", "av1"};
  if (extension == ".avi") return {"h264", "ffv1"};
  return {"h264", "hevc", "av1"};
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string names_of_codecs() {
  std::vector<std::string> names;
  for (const auto& codec : codecs) names.emplace_back(codec.name);
  return joined(names);
}

void check_range(const std::string& path, const char* flag, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most)
    throw Error(ErrorKind::usage, path + ": " + flag + " should be between " + std::to_string(least) +
                                      " and " + std::to_string(most) + ", found " + std::to_string(value));
}

// Constant quality, by the number that the encoder counts in.
int64_t crf_of_quality(const Codec& codec, int64_t quality) {
  return std::lround(codec.most_crf * static_cast<double>(100 - quality) / 100);
}

// A line where the container's clock is too coarse for the rate.
std::optional<std::string> note_on_rate(const EncoderOptions& options) {
  const auto kind = parse_output_name(options.path);
  if (kind != OutputKind::gif && kind != OutputKind::webp) return std::nullopt;
  const int64_t ticks = kind == OutputKind::gif ? 100 : 1000;  // a second
  const int64_t above = ticks * options.fps.denominator, below = std::max(options.fps.numerator, 1);
  if (above % below == 0) return std::nullopt;
  return std::string(kind == OutputKind::gif ? "GIF" : "WebP") + " counts in " +
         (kind == OutputKind::gif ? "hundredths" : "thousandths") + " of a second: a frame stays for " +
         std::to_string(above / below) + " or " + std::to_string(above / below + 1) + " of them, " +
         std::to_string(options.fps.numerator) +
         (options.fps.denominator == 1 ? "" : "/" + std::to_string(options.fps.denominator)) +
         " frames per second on average";
}

}  // namespace

bool Codec::is_deep() const { return av_pix_fmt_desc_get(pixels)->comp[0].depth > 8; }

bool Codec::is_rgb() const { return (av_pix_fmt_desc_get(pixels)->flags & AV_PIX_FMT_FLAG_RGB) != 0; }

bool holds_codec(const std::string& path, const std::string& codec) {
  const auto held = codecs_in(path);
  return std::find(held.begin(), held.end(), codec) != held.end();
}

const Codec& codec_of(const EncoderOptions& options) {
  const auto held = codecs_in(options.path);
  const auto name = options.codec.value_or(held.front());
  const auto* codec = find_codec(name);
  if (codec == nullptr)
    throw Error(ErrorKind::usage, "--codec '" + name + "' is not known; there are " + names_of_codecs());
  if (!holds_codec(options.path, name))
    throw Error(ErrorKind::usage, options.path + ": cannot hold --codec " + name +
                                      "; a file of that name takes " + joined(held));
  return *codec;
}

const AVCodec& encoder_of(const Codec& codec, const std::string& path) {
  if (const auto* encoder = avcodec_find_encoder_by_name(codec.encoder)) return *encoder;
  std::vector<std::string> there;
  for (const auto& name : codecs_in(path))
    if (avcodec_find_encoder_by_name(find_codec(name)->encoder) != nullptr) there.push_back(name);
  throw Error(ErrorKind::output,
              path + ": this FFmpeg was built without " + codec.encoder + ", which writes " + codec.title +
                  (there.empty() ? "; write .y4m instead" : "; --codec may be " + joined(there)));
}

Compression plan_compression(const EncoderOptions& options) {
  const auto& codec = codec_of(options);
  if (codec.encoder != nullptr) encoder_of(codec, options.path);
  Compression plan;
  plan.codec = codec.name;
  plan.is_deep = codec.is_deep();
  plan.holds_metadata = parse_output_name(options.path) != OutputKind::y4m;
  if (options.crf.has_value() + options.quality.has_value() + options.bitrate.has_value() > 1)
    throw Error(ErrorKind::usage,
                options.path + ": only one of --crf, --quality and --bitrate can be kept to");
  const auto take = [&](const std::optional<int64_t>& value, const char* flag, bool used, int64_t least,
                        int64_t most) -> std::optional<int64_t> {
    if (!value) return std::nullopt;
    if (!used) {
      plan.notes.push_back(std::string(flag) + " is left aside: " + codec.title + " has no such choice");
      return std::nullopt;
    }
    check_range(options.path, flag, *value, least, most);
    return value;
  };
  plan.crf = take(options.crf, "--crf", codec.most_crf > 0, 0, codec.most_crf);
  plan.quality = take(options.quality, "--quality", codec.has_quality, 0, 100);
  plan.bitrate = take(options.bitrate, "--bitrate", codec.most_crf > 0, 1000, 1'000'000'000);
  if (const auto note = note_on_rate(options)) plan.notes.push_back(*note);
  if (plan.crf || plan.quality || plan.bitrate) return plan;
  if (codec.most_crf > 0)
    plan.crf = codec.usual_crf;
  else if (codec.has_quality)
    plan.quality = codec.usual_crf;
  return plan;
}

libav::CodecContext make_codec_context(const Codec& codec, const EncoderOptions& options,
                                       libav::Dictionary& settings) {
  const std::string name = codec.name;
  libav::CodecContext context(libav::allocated(avcodec_alloc_context3(&encoder_of(codec, options.path))));
  context->width = options.width;
  context->height = options.height;
  context->pix_fmt = codec.pixels;
  context->time_base = {options.fps.denominator, options.fps.numerator};
  context->framerate = {options.fps.numerator, options.fps.denominator};
  context->sample_aspect_ratio = {1, 1};
  context->thread_count = encoder_threads;
  context->flags |= AV_CODEC_FLAG_BITEXACT;
  context->color_primaries = AVCOL_PRI_BT709;
  context->color_trc = AVCOL_TRC_BT709;
  context->colorspace = codec.is_rgb() ? AVCOL_SPC_RGB : AVCOL_SPC_BT709;
  context->color_range = codec.is_rgb() ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
  if (!codec.is_rgb()) context->chroma_sample_location = AVCHROMA_LOC_LEFT;

  const auto compression = plan_compression(options);
  if (compression.bitrate) context->bit_rate = *compression.bitrate;
  const auto crf = compression.quality && codec.most_crf > 0 ? crf_of_quality(codec, *compression.quality)
                                                             : compression.crf;
  if (crf) settings.set("crf", std::to_string(*crf));
  if (name == "h264") {
    settings.set("preset", "medium");
    settings.set("x264-params", "cpu-independent=1");  // otherwise x264 picks other algorithms on other
                                                       // processors
    // AVI has no time of its own for each picture: they must come in the order in which they are shown.
    if (extension_of(options.path) == ".avi") context->max_b_frames = 0;
  }
  if (name == "hevc") {
    settings.set("preset", "medium");
    settings.set("x265-params", "log-level=none:frame-threads=1:pools=4");
  }
  if (name == "prores") {
    settings.set("profile", "hq");
    settings.set("vendor", "apl0");
  }
  if (name == "ffv1") {  // version 3: slices with checksums
    context->level = 3;
    context->gop_size = 1;
    settings.set("slicecrc", "1");
  }
  if (name == "av1") {
    settings.set("cpu-used", "6");
    settings.set("row-mt", "1");
  }
  if (name == "vp9") {
    settings.set("cpu-used", "2");
    settings.set("row-mt", "1");
  }
  return context;
}

}  // namespace t2v
