#include "pipeline/frames.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

#include "pipeline/sizes.h"
#include "t2v/error.h"

namespace t2v {

void require_finite(const at::Tensor& frames) {
  if (!at::isfinite(frames).all().item<bool>())
    throw Error(ErrorKind::non_finite,
                "decoding: the autoencoder's frames hold NaN or infinity. Nothing was written. Check the "
                "weights, or the latents given to it.");
}

std::vector<Frame> to_frames(const at::Tensor& frames) {
  require_finite(frames);
  const auto bytes = frames.mul(0.5)
                         .add(0.5)
                         .clamp(0, 1)
                         .mul(255)
                         .round()
                         .to(at::kByte)
                         .permute({1, 2, 3, 0})
                         .contiguous()
                         .cpu();  // [T, H, W, 3]
  std::vector<Frame> result;
  const auto frame_bytes = static_cast<std::size_t>(bytes.numel() / bytes.size(0));
  for (int64_t t = 0; t < bytes.size(0); ++t) {
    const auto* data = bytes.const_data_ptr<uint8_t>() + static_cast<std::size_t>(t) * frame_bytes;
    result.push_back({static_cast<int>(bytes.size(2)), static_cast<int>(bytes.size(1)),
                      std::vector<uint8_t>(data, data + frame_bytes)});
  }
  return result;
}

at::Tensor from_frames(const std::vector<Frame>& frames) {
  auto result = at::empty({3, static_cast<int64_t>(frames.size()), frames.at(0).height, frames[0].width},
                          at::TensorOptions(at::kFloat));
  for (std::size_t t = 0; t < frames.size(); ++t) {
    auto* bytes = const_cast<uint8_t*>(frames[t].rgb.data());  // which are only read
    const auto rgb = at::from_blob(bytes, {frames[t].height, frames[t].width, 3},
                                   at::TensorOptions(at::kByte));
    result.select(1, static_cast<int64_t>(t)).copy_(rgb.permute({2, 0, 1}));
  }
  return result.div_(127.5).sub_(1);
}

Rational to_rational(double fps) {
  if (std::abs(fps - std::round(fps)) < 1e-6) return {static_cast<int>(std::lround(fps)), 1};
  const double ntsc = fps * 1001 / 1000;
  if (ntsc > 10 && std::abs(ntsc - std::round(ntsc)) < 2e-3)
    return {static_cast<int>(std::lround(ntsc)) * 1000, 1001};
  const int thousandths = static_cast<int>(std::lround(fps * 1000));
  const int divisor = std::gcd(thousandths, 1000);
  return {thousandths / divisor, 1000 / divisor};
}

std::optional<Resize> planned_resize(const std::optional<std::string>& size, const std::string& filter) {
  if (!size) return std::nullopt;
  const auto [width, height] = parse_size(*size, "--resize");
  return Resize{static_cast<int>(width), static_cast<int>(height), filter == "nearest"};
}

}  // namespace t2v
