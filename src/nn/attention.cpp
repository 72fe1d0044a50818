#include "nn/attention.h"

#include <ATen/ATen.h>

#include "nn/ops.h"

namespace t2v {

namespace {

bool equal_lengths(const std::vector<int64_t>& segments) {
  for (std::size_t i = 2; i < segments.size(); ++i)
    if (segments[i] - segments[i - 1] != segments[1] - segments[0]) return false;
  return true;
}

// [S·L, heads, head_dim] → [S, heads, L, head_dim]
at::Tensor as_batch(const at::Tensor& x, int64_t count) { return x.view({count, x.size(0) / count, x.size(1), x.size(2)}).transpose(1, 2); }

// [S, heads, L, head_dim] → [S·L, heads·head_dim]
at::Tensor from_batch(const at::Tensor& x) { return x.transpose(1, 2).reshape({x.size(0) * x.size(2), x.size(1) * x.size(3)}); }

}  // namespace

at::Tensor segment_self_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& segments) {
  const auto count = static_cast<int64_t>(segments.size()) - 1;
  if (equal_lengths(segments)) return from_batch(attend(as_batch(q, count), as_batch(k, count), as_batch(v, count)));
  std::vector<at::Tensor> parts;
  for (std::size_t s = 0; s + 1 < segments.size(); ++s) {
    const auto part = [&](const at::Tensor& x) { return as_batch(x.slice(0, segments[s], segments[s + 1]), 1); };
    parts.push_back(from_batch(attend(part(q), part(k), part(v))));
  }
  return at::cat(parts);
}

at::Tensor segment_cross_attention(const at::Tensor& q, const KeyValues& text, const std::vector<int64_t>& text_of_segment,
                                   const std::vector<int64_t>& segments) {
  const auto count = static_cast<int64_t>(segments.size()) - 1;
  if (equal_lengths(segments)) {
    bool in_order = text.keys.size(0) == count;
    for (int64_t s = 0; s < count; ++s) in_order = in_order && text_of_segment[static_cast<std::size_t>(s)] == s;
    const auto index = in_order ? at::Tensor() : at::tensor(text_of_segment, at::TensorOptions(at::kLong)).to(q.device());
    const auto of_segments = [&](const at::Tensor& x) { return in_order ? x : x.index({index}); };
    return from_batch(attend(as_batch(q, count), of_segments(text.keys), of_segments(text.values)));
  }
  std::vector<at::Tensor> parts;
  for (std::size_t s = 0; s + 1 < segments.size(); ++s) {
    const auto of_segment = [&](const at::Tensor& x) { return x.narrow(0, text_of_segment[s], 1); };
    parts.push_back(
        from_batch(attend(as_batch(q.slice(0, segments[s], segments[s + 1]), 1), of_segment(text.keys), of_segment(text.values))));
  }
  return at::cat(parts);
}

}  // namespace t2v
