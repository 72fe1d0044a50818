#include "nn/picture_resampling.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace t2v {

namespace {

constexpr int precision = 32 - 8 - 2;  // bits behind the point of a weight

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}
double lanczos(double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

// The pixels that one of the new size is made from.
struct Taps {
  int64_t begin = 0;
  std::vector<int32_t> weights;
};

std::vector<Taps> taps_of(int64_t from, int64_t to, ResamplingFilter filter) {
  const auto value = filter == ResamplingFilter::bicubic ? bicubic : lanczos;
  const double scale = static_cast<double>(from) / static_cast<double>(to), width = std::max(1.0, scale);
  const double support = (filter == ResamplingFilter::bicubic ? 2.0 : 3.0) * width, narrowed = 1 / width;
  std::vector<Taps> all;
  for (int64_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
    const auto end = std::min(from, static_cast<int64_t>(center + support + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (auto x = begin; x < end; ++x) {
      weights.push_back(value((static_cast<double>(x) - center + 0.5) * narrowed));
      sum += weights.back();
    }
    Taps taps{begin, {}};
    for (const double weight : weights) {
      const double fixed = (sum != 0 ? weight / sum : weight) * (1 << precision);
      taps.weights.push_back(static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
    all.push_back(std::move(taps));
  }
  return all;
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> precision, 0, 255)); }

// In width: x uint8 [C, H, W] → [C, H, to].
at::Tensor resample_rows(const at::Tensor& x, int64_t to, ResamplingFilter filter) {
  const auto rows = x.size(0) * x.size(1), from = x.size(2);
  const auto taps = taps_of(from, to, filter);
  const auto result = at::empty({x.size(0), x.size(1), to}, x.options());
  const auto* in = x.const_data_ptr<uint8_t>();
  auto* out = result.mutable_data_ptr<uint8_t>();
  for (int64_t row = 0; row < rows; ++row, in += from)
    for (const auto& [begin, weights] : taps) {
      int32_t sum = 1 << (precision - 1);
      for (std::size_t k = 0; k < weights.size(); ++k)
        sum += in[begin + static_cast<int64_t>(k)] * weights[k];
      *out++ = rounded(sum);
    }
  return result;
}

// In height: x uint8 [C, H, W] → [C, to, W].
at::Tensor resample_columns(const at::Tensor& x, int64_t to, ResamplingFilter filter) {
  const auto from = x.size(1), width = x.size(2);
  const auto taps = taps_of(from, to, filter);
  const auto result = at::empty({x.size(0), to, width}, x.options());
  auto* out = result.mutable_data_ptr<uint8_t>();
  std::vector<int32_t> sums(static_cast<std::size_t>(width));
  for (int64_t channel = 0; channel < x.size(0); ++channel)
    for (const auto& [begin, weights] : taps) {
      const auto* in = x.const_data_ptr<uint8_t>() + (channel * from + begin) * width;
      std::fill(sums.begin(), sums.end(), 1 << (precision - 1));
      for (const auto weight : weights)
        for (auto& sum : sums) sum += *in++ * weight;
      out = std::transform(sums.begin(), sums.end(), out, rounded);
    }
  return result;
}

}  // namespace

at::Tensor resample_picture(const at::Tensor& picture, int64_t width, int64_t height,
                            ResamplingFilter filter) {
  auto x = picture.contiguous();
  const auto lower = x.size(1) - height, narrower = x.size(2) - width;
  const bool height_first = lower > 0 && lower > 2 * narrower;
  if (height_first) x = resample_columns(x, height, filter);
  if (narrower != 0) x = resample_rows(x, width, filter);
  if (lower != 0 && !height_first) x = resample_columns(x, height, filter);
  return x;
}

}  // namespace t2v
