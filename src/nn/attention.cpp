#include "nn/attention.h"

#include <ATen/ATen.h>

#include "nn/ops.h"

namespace t2v {

namespace {

// Neighbouring segments of equal length: they run as one batch.
struct Run {
  int64_t first = 0, count = 0;  // segments
  int64_t begin = 0, end = 0;    // tokens
};

std::vector<Run> runs_of(const std::vector<int64_t>& segments) {
  std::vector<Run> runs;
  for (std::size_t s = 0; s + 1 < segments.size(); ++s) {
    const int64_t length = segments[s + 1] - segments[s];
    if (runs.empty() || (runs.back().end - runs.back().begin) / runs.back().count != length)
      runs.push_back({static_cast<int64_t>(s), 0, segments[s], segments[s]});
    ++runs.back().count;
    runs.back().end = segments[s + 1];
  }
  return runs;
}

// [S·L, heads, head_dim] → [S, heads, L, head_dim]
at::Tensor as_batch(const at::Tensor& x, int64_t count) {
  return x.view({count, x.size(0) / count, x.size(1), x.size(2)}).transpose(1, 2);
}

// [S, heads, L, head_dim] → [S·L, heads·head_dim]
at::Tensor from_batch(const at::Tensor& x) {
  return x.transpose(1, 2).reshape({x.size(0) * x.size(2), x.size(1) * x.size(3)});
}

}  // namespace

at::Tensor segment_self_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                  const std::vector<int64_t>& segments) {
  std::vector<at::Tensor> parts;
  for (const auto& run : runs_of(segments)) {
    const auto part = [&](const at::Tensor& x) {
      return as_batch(x.slice(0, run.begin, run.end), run.count);
    };
    parts.push_back(from_batch(attend(part(q), part(k), part(v))));
  }
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

at::Tensor segment_cross_attention(const at::Tensor& q, const KeyValues& texts,
                                   const std::vector<int64_t>& segments) {
  std::vector<at::Tensor> parts;
  for (const auto& run : runs_of(segments))
    parts.push_back(from_batch(attend(as_batch(q.slice(0, run.begin, run.end), run.count),
                                      texts.keys.narrow(0, run.first, run.count),
                                      texts.values.narrow(0, run.first, run.count))));
  return parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace t2v
