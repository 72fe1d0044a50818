#include "pipeline/run/ring_denoiser.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace t2v {

namespace {

struct RingConditioning : Conditioning {
  PackedTokens windows;  // layout of all windows
  at::Tensor rows;       // int64 [M], of the loops' tokens: which one each token of a window is
  at::Tensor shares;     // float32 [M, 1]: how much of that one's prediction it is
  std::shared_ptr<const Conditioning> inner;
};

}  // namespace

std::vector<std::vector<int64_t>> latent_frames_of_loop(const GenerationPlan& plan) {
  const auto count = static_cast<int64_t>(plan.windows.size()), ring = plan.latent_shape[2] - count;
  const auto ratio = plan.frames / ring;
  std::vector<std::vector<int64_t>> windows;
  for (const auto& window : plan.windows) {
    auto& frames = windows.emplace_back();
    frames.push_back(static_cast<int64_t>(windows.size()) - 1);
    for (int64_t at = window.begin + 1; at < window.begin + window.frames; at += ratio)
      frames.push_back(count + (at / ratio + ring) % ring);
  }
  return windows;
}

std::shared_ptr<const Conditioning> RingDenoiser::prepare(const PackedTokens& tokens,
                                                          const std::vector<TextStates>& texts) const {
  auto made = std::make_shared<RingConditioning>();
  auto& all = made->windows;
  all = tokens;
  all.segments = {0};
  all.texts.clear();
  all.extent.t = static_cast<int64_t>(windows_.front().size());
  const auto options = at::TensorOptions(at::kLong).device(tokens.positions.device());
  std::vector<at::Tensor> rows, positions, weights;
  const auto add = [&](std::size_t segment, const at::Tensor& of_segment, const at::Tensor& weight) {
    rows.push_back(of_segment);
    positions.push_back(tokens.positions.narrow(0, tokens.segments[segment], of_segment.size(0)));
    weights.push_back(weight);
    all.segments.push_back(all.segments.back() + of_segment.size(0));
    all.texts.push_back(tokens.texts[segment]);
  };
  for (std::size_t i = 0; i + 1 < tokens.segments.size(); ++i) {
    const auto begin = tokens.segments[i], length = tokens.segments[i + 1] - begin;
    const auto frames = tokens.positions.narrow(0, begin, length).select(1, 0).max().item<int64_t>() + 1;
    if (frames == 1) {
      add(i, at::arange(begin, begin + length, options), at::ones({length}));
      continue;
    }
    const auto area = length / frames;
    for (const auto& window : windows_) {
      const auto count = static_cast<int64_t>(window.size());
      const auto starts = at::tensor(window, options) * area + begin;
      // A latent counts less the nearer it is to an end of the window.
      const auto place = at::arange(count);
      const auto weight = at::minimum(place, count - place).clamp_min(1).to(at::kFloat);
      add(i, (starts.unsqueeze(1) + at::arange(area, options)).flatten(), weight.repeat_interleave(area));
    }
  }
  all.text_segments = all.segments;
  made->rows = at::cat(rows);
  all.positions = at::cat(positions);
  all.values = tokens.values.index_select(0, made->rows);
  const auto weight = at::cat(weights).to(options.device());
  const auto total = at::zeros({tokens.positions.size(0)}, weight.options()).index_add(0, made->rows, weight);
  made->shares = (weight / total.index_select(0, made->rows)).unsqueeze(1);
  made->inner = denoiser_.prepare(all, texts);
  return made;
}

at::Tensor RingDenoiser::predict(const PackedTokens& tokens, const Conditioning& conditioning,
                                 at::Tensor* middle) const {
  const auto& made = dynamic_cast<const RingConditioning&>(conditioning);
  auto windows = made.windows;
  windows.values = tokens.values.index_select(0, made.rows);
  windows.timesteps = tokens.timesteps;
  windows.timestep = tokens.timestep;
  const auto predicted = denoiser_.predict(windows, *made.inner, middle);
  return at::zeros_like(tokens.values).index_add(0, made.rows, predicted * made.shares);
}

}  // namespace t2v
