#include "nn/row_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

// One version of a loop for each generation of x86-64, picked when the program starts. Not under sanitizers,
// which run before that.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define T2V_FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define T2V_FOR_EACH_CPU
#endif

namespace t2v::rows {

namespace {

// exp in float32 within 2 units of the last place, without a branch so that loops over it become vector code.
// Cephes' polynomial. NaN stays NaN.
[[gnu::always_inline]] inline float exp_of(float x) {
  x = x < -87.0F ? -87.0F : x > 88.0F ? 88.0F : x;
  const float whole = std::floor(x * 1.44269504F + 0.5F);
  const float r = x - whole * 0.693359375F + whole * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  return p * std::bit_cast<float>((static_cast<int32_t>(whole) + 127) << 23);
}

}  // namespace

T2V_FOR_EACH_CPU
void modulated_layer_norm(int64_t first, int64_t last, int64_t d, const float* x, const float* shift,
                          const float* scale, const Choice& choice, float epsilon, float* y,
                          float* statistics) {
  const float inverse_d = 1.0F / static_cast<float>(d);
  for (int64_t n = first; n < last; ++n) {
    const float* in = x + n * d;
    const float* add = shift + choice.of(n) * choice.stride;
    const float* factor = scale + choice.of(n) * choice.stride;
    float* out = y + n * d;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < d; ++i) sum += in[i];
    const float mean = sum * inverse_d;
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < d; ++i) squares += (in[i] - mean) * (in[i] - mean);
    const float inverse = 1.0F / std::sqrt(squares * inverse_d + epsilon);
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) out[i] = (in[i] - mean) * inverse * (1.0F + factor[i]) + add[i];
    if (statistics != nullptr) statistics[2 * n] = mean, statistics[2 * n + 1] = inverse;
  }
}

T2V_FOR_EACH_CPU
void modulated_layer_norm_backward(int64_t n_rows, int64_t d, const float* x, const float* statistics,
                                   const float* scale, const Choice& choice, const float* grad_y,
                                   float* grad_x, float* grad_shift, float* grad_scale) {
  const float inverse_d = 1.0F / static_cast<float>(d);
  for (int64_t n = 0; n < n_rows; ++n) {
    const int64_t row = choice.of(n);
    const float* in = x + n * d;
    const float* g = grad_y + n * d;
    const float* factor = scale + row * choice.stride;
    float* out = grad_x + n * d;
    float* to_shift = grad_shift + row * d;
    float* to_scale = grad_scale + row * d;
    const float mean = statistics[2 * n];
    const float inverse = statistics[2 * n + 1];
    float sum = 0;
    float product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (int64_t i = 0; i < d; ++i) {
      const float normed = (in[i] - mean) * inverse;
      const float through = g[i] * (1.0F + factor[i]);
      to_shift[i] += g[i];
      to_scale[i] += g[i] * normed;
      sum += through;
      product += through * normed;
    }
    sum *= inverse_d;
    product *= inverse_d;
#pragma omp simd
    for (int64_t i = 0; i < d; ++i)
      out[i] = inverse * (g[i] * (1.0F + factor[i]) - sum - (in[i] - mean) * inverse * product);
  }
}

T2V_FOR_EACH_CPU
void gated_residual(int64_t first, int64_t last, int64_t d, const float* x, const float* h, const float* gate,
                    const Choice& choice, float* y) {
  for (int64_t n = first; n < last; ++n) {
    const float* factor = gate + choice.of(n) * choice.stride;
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) y[n * d + i] = x[n * d + i] + h[n * d + i] * factor[i];
  }
}

T2V_FOR_EACH_CPU
void gated_residual_backward(int64_t n_rows, int64_t d, const float* h, const float* gate,
                             const Choice& choice, const float* grad_y, float* grad_h, float* grad_gate) {
  for (int64_t n = 0; n < n_rows; ++n) {
    const int64_t row = choice.of(n);
    const float* factor = gate + row * choice.stride;
    float* to_gate = grad_gate + row * d;
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) {
      grad_h[n * d + i] = grad_y[n * d + i] * factor[i];
      to_gate[i] += grad_y[n * d + i] * h[n * d + i];
    }
  }
}

T2V_FOR_EACH_CPU
void rms_norm_rotary(int64_t first, int64_t last, const RowLayout& layout, const float* x,
                     const float* weight, const float* rotary, float epsilon, float* y, float* inverse_rms) {
  const int64_t d = layout.d;
  for (int64_t n = first; n < last; ++n) {
    const float* in = x + n * layout.x_stride;
    float* out = y + n * layout.y_stride;
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < d; ++i) squares += in[i] * in[i];
    const float inverse = 1.0F / std::sqrt(squares / static_cast<float>(d) + epsilon);
    if (inverse_rms != nullptr) inverse_rms[n] = inverse;
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) out[i] = in[i] * inverse * weight[i];
    if (rotary == nullptr) continue;
    const float* turn = rotary + n * 2 * layout.rotary_pairs;
    for (int64_t begin = 0; begin < d; begin += 2 * layout.rotary_pairs) {
#pragma omp simd
      for (int64_t pair = 0; pair < layout.rotary_pairs; ++pair) {
        const float a = out[begin + 2 * pair];
        const float b = out[begin + 2 * pair + 1];
        out[begin + 2 * pair] = a * turn[2 * pair] - b * turn[2 * pair + 1];
        out[begin + 2 * pair + 1] = a * turn[2 * pair + 1] + b * turn[2 * pair];
      }
    }
  }
}

T2V_FOR_EACH_CPU
void rms_norm_rotary_backward(int64_t n_rows, const RowLayout& layout, const float* x, const float* weight,
                              const float* rotary, const float* inverse_rms, const float* grad_y,
                              float* grad_x, float* grad_weight) {
  const int64_t d = layout.d;
  std::vector<float> turned(static_cast<std::size_t>(d));
  float* g = turned.data();
  for (int64_t n = 0; n < n_rows; ++n) {
    const float* in = x + n * layout.x_stride;
    const float* from = grad_y + n * layout.y_stride;
    float* out = grad_x + n * layout.x_stride;
    if (rotary == nullptr) {
      std::copy(from, from + d, g);
    } else {
      const float* turn = rotary + n * 2 * layout.rotary_pairs;
      for (int64_t begin = 0; begin < d; begin += 2 * layout.rotary_pairs) {
#pragma omp simd
        for (int64_t pair = 0; pair < layout.rotary_pairs; ++pair) {
          const float a = from[begin + 2 * pair];
          const float b = from[begin + 2 * pair + 1];
          g[begin + 2 * pair] = a * turn[2 * pair] + b * turn[2 * pair + 1];
          g[begin + 2 * pair + 1] = b * turn[2 * pair] - a * turn[2 * pair + 1];
        }
      }
    }
    const float inverse = inverse_rms[n];
    float product = 0;
#pragma omp simd reduction(+ : product)
    for (int64_t i = 0; i < d; ++i) {
      const float normed = in[i] * inverse;
      grad_weight[i] += g[i] * normed;
      product += g[i] * weight[i] * normed;
    }
    product /= static_cast<float>(d);
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) out[i] = inverse * (g[i] * weight[i] - in[i] * inverse * product);
  }
}

T2V_FOR_EACH_CPU
void channel_norm_silu(int64_t first, int64_t last, int64_t d, const float* x, const float* gamma, float* y) {
  const float root = std::sqrt(static_cast<float>(d));
  for (int64_t n = first; n < last; ++n) {
    const float* in = x + n * d;
    float* out = y + n * d;
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < d; ++i) squares += in[i] * in[i];
    const float factor = root / std::max(std::sqrt(squares), 1e-12F);
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) {
      const float normed = in[i] * factor * gamma[i];
      out[i] = normed / (1.0F + exp_of(-normed));
    }
  }
}

T2V_FOR_EACH_CPU
void channel_norm_silu_backward(int64_t n_rows, int64_t d, const float* x, const float* gamma,
                                const float* grad_y, float* grad_x, float* grad_gamma) {
  const float root = std::sqrt(static_cast<float>(d));
  std::vector<float> before(static_cast<std::size_t>(d));
  float* g = before.data();
  for (int64_t n = 0; n < n_rows; ++n) {
    const float* in = x + n * d;
    const float* from = grad_y + n * d;
    float* out = grad_x + n * d;
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < d; ++i) squares += in[i] * in[i];
    const float length = std::max(std::sqrt(squares), 1e-12F);
    const float factor = root / length;
    float product = 0;
#pragma omp simd reduction(+ : product)
    for (int64_t i = 0; i < d; ++i) {
      const float scaled = in[i] * factor;
      const float normed = scaled * gamma[i];
      const float open = 1.0F / (1.0F + exp_of(-normed));
      const float through = from[i] * open * (1.0F + normed * (1.0F - open));
      grad_gamma[i] += through * scaled;
      g[i] = through * gamma[i];
      product += g[i] * in[i];
    }
    product /= length * length;
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) out[i] = factor * (g[i] - in[i] * product);
  }
}

namespace {
// (1 + tanh(u)) / 2 is the logistic function of 2·u.
constexpr float gelu_slope = 1.5957691216F;  // 2 · sqrt(2 / pi)
constexpr float gelu_cubic = 0.044715F;
}  // namespace

T2V_FOR_EACH_CPU
void gelu_tanh(int64_t first, int64_t last, int64_t d, const float* x, float* y) {
  for (int64_t n = first; n < last; ++n) {
    const float* in = x + n * d;
    float* out = y + n * d;
#pragma omp simd
    for (int64_t i = 0; i < d; ++i)
      out[i] = in[i] / (1.0F + exp_of(-gelu_slope * (in[i] + gelu_cubic * in[i] * in[i] * in[i])));
  }
}

T2V_FOR_EACH_CPU
void gelu_tanh_backward(int64_t n_rows, int64_t d, const float* x, const float* grad_y, float* grad_x) {
  for (int64_t n = 0; n < n_rows; ++n) {
    const float* in = x + n * d;
    const float* from = grad_y + n * d;
    float* out = grad_x + n * d;
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) {
      const float open = 1.0F / (1.0F + exp_of(-gelu_slope * (in[i] + gelu_cubic * in[i] * in[i] * in[i])));
      const float slope = gelu_slope * (1.0F + 3.0F * gelu_cubic * in[i] * in[i]);
      out[i] = from[i] * open * (1.0F + in[i] * slope * (1.0F - open));
    }
  }
}

}  // namespace t2v::rows
