// Norms and residuals over rows of contiguous float32 numbers on the CPU, forward and backward, one pass
// each: what a small network spends most of its time on when every elementary operation goes through memory
// by itself. Plain loops; the compiler makes a version for each processor generation. Serial: the callers
// split rows.
#pragma once

#include <cstdint>

namespace t2v::rows {

// One row of parameters for each row of data: row n uses parameters[of(n)].
struct Choice {
  const int64_t* index = nullptr;  // [rows], or null: all rows use row 0, or each its own
  int64_t count = 1;               // rows of parameters
  int64_t stride = 0;              // floats from one row of parameters to the next
  int64_t of(int64_t n) const { return index != nullptr ? index[n] : count == 1 ? 0 : n; }
};

// y = (x - mean) / sqrt(variance + epsilon) · (1 + scale) + shift. x, y [n, d] for rows first … last - 1;
// statistics [n, 2] receives mean and 1/deviation, or is null.
void modulated_layer_norm(int64_t first, int64_t last, int64_t d, const float* x, const float* shift,
                          const float* scale, const Choice& choice, float epsilon, float* y,
                          float* statistics);
// Adds to grad_shift and grad_scale [choice.count, d].
void modulated_layer_norm_backward(int64_t n, int64_t d, const float* x, const float* statistics,
                                   const float* scale, const Choice& choice, const float* grad_y,
                                   float* grad_x, float* grad_shift, float* grad_scale);

// y = x + h · gate; all [n, d].
void gated_residual(int64_t first, int64_t last, int64_t d, const float* x, const float* h, const float* gate,
                    const Choice& choice, float* y);
// Adds to grad_gate [choice.count, d].
void gated_residual_backward(int64_t n, int64_t d, const float* h, const float* gate, const Choice& choice,
                             const float* grad_y, float* grad_h, float* grad_gate);

// y = x / rms(x) · weight, then each pair (y[2i], y[2i + 1]) times cosine + i·sine of its row. rotary [n,
// rotary_pairs, 2] is repeated along the row; null for none. Rows of x are x_stride apart, those of y
// y_stride; inverse_rms [n] receives 1 / sqrt(mean(x²) + epsilon), or is null.
struct RowLayout {
  int64_t d = 0, x_stride = 0, y_stride = 0, rotary_pairs = 0;
};
void rms_norm_rotary(int64_t first, int64_t last, const RowLayout& layout, const float* x,
                     const float* weight, const float* rotary, float epsilon, float* y, float* inverse_rms);
// grad_x has x's stride, grad_y has y's. Adds to grad_weight [d].
void rms_norm_rotary_backward(int64_t n, const RowLayout& layout, const float* x, const float* weight,
                              const float* rotary, const float* inverse_rms, const float* grad_y,
                              float* grad_x, float* grad_weight);

// y = silu(x / max(|x|, 1e-12) · sqrt(d) · gamma): the norm over channels of Wan's autoencoder with its
// activation. x, y [n, d].
void channel_norm_silu(int64_t first, int64_t last, int64_t d, const float* x, const float* gamma, float* y);
// Adds to grad_gamma [d].
void channel_norm_silu_backward(int64_t n, int64_t d, const float* x, const float* gamma, const float* grad_y,
                                float* grad_x, float* grad_gamma);

// y = x / 2 · (1 + tanh(sqrt(2 / pi) · (x + 0.044715 · x³))). x, y [n, d].
void gelu_tanh(int64_t first, int64_t last, int64_t d, const float* x, float* y);
void gelu_tanh_backward(int64_t n, int64_t d, const float* x, const float* grad_y, float* grad_x);

}  // namespace t2v::rows
