#include "pipeline/frames.h"

#include <ATen/ATen.h>

#include <charconv>
#include <cmath>
#include <utility>

#include "pipeline/plan/sizes.h"
#include "t2v/error.h"

namespace t2v {

void require_finite(const at::Tensor& frames) {
  if (!at::isfinite(frames).all().item<bool>())
    throw Error(ErrorKind::non_finite,
                "decoding: the autoencoder's frames hold NaN or infinity. Nothing was written. Check the "
                "weights, or the latents given to it.");
}

namespace {

// Whole numbers 0 to `most`, [T, H, W, 3].
at::Tensor quantised(const at::Tensor& frames, int most, at::ScalarType type) {
  require_finite(frames);
  return frames.mul(0.5)
      .add(0.5)
      .clamp(0, 1)
      .mul(most)
      .round()
      .to(type)
      .permute({1, 2, 3, 0})
      .contiguous()
      .cpu();
}

}  // namespace

std::vector<Frame> to_frames(const at::Tensor& frames) {
  const auto bytes = quantised(frames, 255, at::kByte);
  std::vector<Frame> result;
  const auto frame_bytes = static_cast<std::size_t>(bytes.numel() / bytes.size(0));
  for (int64_t t = 0; t < bytes.size(0); ++t) {
    const auto* data = bytes.const_data_ptr<uint8_t>() + static_cast<std::size_t>(t) * frame_bytes;
    result.push_back({static_cast<int>(bytes.size(2)), static_cast<int>(bytes.size(1)),
                      std::vector<uint8_t>(data, data + frame_bytes)});
  }
  return result;
}

std::vector<Frame> to_deep_frames(const at::Tensor& frames) {
  const auto values = quantised(frames, 65535, at::kInt);
  const auto count = values.numel() / values.size(0);
  std::vector<Frame> result;
  for (int64_t t = 0; t < values.size(0); ++t) {
    const auto* data = values.const_data_ptr<int32_t>() + t * count;
    Frame frame{static_cast<int>(values.size(2)), static_cast<int>(values.size(1)), {}};
    frame.rgb16.assign(data, data + count);
    result.push_back(std::move(frame));
  }
  return result;
}

at::Tensor from_frames(const std::vector<Frame>& frames) {
  auto result = at::empty({3, static_cast<int64_t>(frames.size()), frames.at(0).height, frames[0].width},
                          at::TensorOptions(at::kFloat));
  for (std::size_t t = 0; t < frames.size(); ++t)
    result.select(1, static_cast<int64_t>(t)).copy_(bytes_of(frames[t]));
  return result.div_(127.5).sub_(1);
}

at::Tensor bytes_of(const Frame& frame) {
  auto* bytes = const_cast<uint8_t*>(frame.rgb.data());  // which are only read
  return at::from_blob(bytes, {frame.height, frame.width, 3}, at::TensorOptions(at::kByte))
      .permute({2, 0, 1});
}

Frame frame_of(const at::Tensor& bytes) {
  const auto rgb = bytes.permute({1, 2, 0}).contiguous();  // [H, W, 3]
  const auto* data = rgb.const_data_ptr<uint8_t>();
  return {static_cast<int>(rgb.size(1)), static_cast<int>(rgb.size(0)),
          std::vector<uint8_t>(data, data + rgb.numel())};
}

Rational to_rational(double fps) {
  if (std::abs(fps - std::round(fps)) < 1e-6) return {static_cast<int>(std::lround(fps)), 1};
  const double ntsc = fps * 1001 / 1000;
  if (ntsc > 10 && std::abs(ntsc - std::round(ntsc)) < 2e-3)
    return {static_cast<int>(std::lround(ntsc)) * 1000, 1001};
  // The fraction of the smallest denominator that is as near as a double tells: continued fractions.
  constexpr double most_denominator = 1'000'000;
  double above = std::floor(fps), below = 1, above_before = 1, below_before = 0;
  for (double rest = fps - above; std::abs(above / below - fps) > 1e-13 * fps && rest > 0;) {
    const double whole = std::floor(1 / rest);
    if (whole * below + below_before > most_denominator) break;
    rest = 1 / rest - whole;
    above_before = std::exchange(above, whole * above + above_before);
    below_before = std::exchange(below, whole * below + below_before);
  }
  return {static_cast<int>(above), static_cast<int>(below)};
}

std::optional<Resize> planned_resize(const std::optional<std::string>& size, const std::string& filter) {
  if (!size) return std::nullopt;
  const auto [width, height] = parse_size(*size, "--resize");
  return Resize{static_cast<int>(width), static_cast<int>(height), filter == "nearest"};
}

std::optional<int64_t> parse_bitrate(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  double number = 0;
  const char* last = text->data() + text->size();
  const auto [end, error] = std::from_chars(text->data(), last, number);
  const std::string unit(end, last);
  const double factor = unit == "M" ? 1e6 : unit == "k" ? 1e3 : unit.empty() ? 1 : 0;
  const double rate = std::round(number * factor);
  if (error != std::errc() || !(rate >= 1 && rate < 1e15))
    throw Error(ErrorKind::usage,
                "--bitrate should be bits per second such as 4M, 800k or 900000, found '" + *text + "'");
  return static_cast<int64_t>(rate);
}

EncoderOptions encoder_options_of(const GenerationPlan& plan, const PlannedClip& clip) {
  EncoderOptions options{.path = clip.output,
                         .width = static_cast<int>(plan.width),
                         .height = static_cast<int>(plan.height),
                         .fps = to_rational(plan.fps)};
  const auto& settings = plan.settings;
  options.codec = settings.codec;
  options.crf = settings.crf;
  options.quality = settings.quality;
  options.bitrate = parse_bitrate(settings.bitrate);
  options.resize = planned_resize(settings.resize, settings.resize_filter.value_or("lanczos"));
  options.sound = plan.sound;
  return options;
}

void plan_file_compression(GenerationPlan& plan) {
  if (plan.clips.empty() || plan.clips.front().output.empty()) return;
  const auto found = plan_compression(encoder_options_of(plan, plan.clips.front()));
  auto& settings = plan.settings;
  settings.crf = found.crf;
  settings.quality = found.quality;
  if (!found.bitrate) settings.bitrate.reset();
  plan.notes.insert(plan.notes.end(), found.notes.begin(), found.notes.end());
  if (!found.holds_metadata && !settings.sidecar.value_or(false))
    plan.notes.emplace_back("y4m cannot hold how a clip was made; --sidecar writes that beside a file");
}

}  // namespace t2v
