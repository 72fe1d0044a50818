// Attention within segments of a packed sequence.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace t2v {

// Keys and values of several texts of equal length: [texts, heads, L, head_dim].
struct KeyValues {
  at::Tensor keys, values;
};

// softmax(q·kᵀ / sqrt(head_dim))·v within each segment; q, k, v [N, heads, head_dim] → [N, heads · head_dim].
// segments: cumulative offsets [S + 1]. Segments of equal length run as one batch.
at::Tensor segment_self_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const std::vector<int64_t>& segments);

// The tokens of segment s attend to text s; q [N, heads, head_dim] → [N, heads · head_dim]. No mask.
at::Tensor segment_cross_attention(const at::Tensor& q, const KeyValues& texts,
                                   const std::vector<int64_t>& segments);

}  // namespace t2v
