#include "pipeline/plan/windows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "pipeline/plan/sizes.h"

namespace t2v {

namespace {

// Frames of the longest window that the shots need.
int64_t longest_window(const std::vector<Shot>& shots, int64_t overlap, int64_t ratio) {
  int64_t longest = 0;
  for (const auto& shot : shots) {
    const bool goes_on = shot.begin > 0 && !shot.cut;
    longest = std::max(longest, goes_on ? overlap + up_to_multiple(shot.frames, ratio)
                                        : 1 + up_to_multiple(shot.frames - 1, ratio));
  }
  return longest;
}

}  // namespace

std::vector<Window> windows_of(const std::vector<Shot>& shots, int64_t window, int64_t overlap, int64_t ratio,
                               bool fill) {
  window = std::min(window, longest_window(shots, overlap, ratio));
  std::vector<Window> windows;
  int64_t since_cut = 0;  // frames made
  for (std::size_t s = 0; s < shots.size(); ++s) {
    if (shots[s].cut) since_cut = 0;
    for (int64_t made = 0; made < shots[s].frames;) {
      const auto left = shots[s].frames - made;
      int64_t context = 0, added = std::min(window, left), frames = window;
      if (since_cut > 0) {
        const auto there = 1 + (std::min(since_cut, windows.back().kept) - 1) / ratio * ratio;
        added = std::min(window - std::min(overlap, there), left);
        context = std::min(fill ? window - up_to_multiple(added, ratio) : overlap, there);
        if (!fill) frames = context + up_to_multiple(added, ratio);
      }
      windows.push_back({shots[s].begin + made - context, context, frames, context + added, s});
      made += added;
      since_cut += added;
    }
  }
  return windows;
}

std::vector<int64_t> window_latent_shape(const GenerationPlan& plan, std::size_t window) {
  auto shape = plan.latent_shape;
  shape.at(2) = plan.windows.at(window).latent_frames;
  return shape;
}

int64_t window_tokens(const GenerationPlan& plan, std::size_t window) {
  return plan.tokens * plan.windows.at(window).latent_frames / plan.latent_shape.at(2);
}

std::vector<Window> windows_from_end(int64_t frames, int64_t window, int64_t overlap, int64_t ratio) {
  if (frames <= window) return {{0, 0, frames, frames, 0}};
  const auto known = std::clamp(overlap / ratio * ratio, ratio, window - 1 - ratio);
  std::vector<Window> windows{{frames - window, 0, window, window, 0, 1}};
  while (windows.back().begin > 0) {
    const auto last = windows.back().begin;
    const auto begin = std::max<int64_t>(0, last - (window - 1 - known));
    const auto after = window - 1 - (last - begin);
    windows.push_back({begin, 0, window, window - after, 0, begin > 0 ? 1 : 0, after});
  }
  return windows;
}

std::vector<Window> windows_of_loop(int64_t frames, int64_t window, int64_t ratio) {
  const auto ring = frames / ratio, latents = std::min(ring, (window - 1) / ratio);
  const auto shown = std::max<int64_t>(1, latents / 2), length = 1 + ratio * latents;
  std::vector<Window> windows;
  for (int64_t end = 0, begin = 0; begin < ring; begin = end) {
    end = std::min(begin + shown, ring);
    const auto skipped = 1 + ratio * (latents - (end - begin));
    windows.push_back({ratio * (end - latents) - 1, 0, length, length, 0, skipped});
  }
  return windows;
}

int64_t windows_in_turn(const GenerationPlan& plan) {
  return plan.settings.loop.value_or(false) ? 1 : static_cast<int64_t>(plan.windows.size());
}

int64_t tokens_of_pass(const GenerationPlan& plan) {
  if (!plan.settings.loop.value_or(false)) return plan.tokens;
  const auto windows = static_cast<int64_t>(plan.windows.size()), ring = plan.latent_shape[2] - windows;
  const auto ratio = plan.frames / ring;
  return plan.tokens / plan.latent_shape[2] * windows * (1 + (plan.windows.front().frames - 1) / ratio);
}

at::Tensor decode_beginning(const VideoVae& vae, const at::Tensor& latents, const Window& next) {
  std::vector<at::Tensor> parts;
  const auto latent_frames = vae.spec().latent_frames(1 + next.after);
  vae.decode(vae.denormalise(latents.narrow(1, 0, latent_frames)),
             [&](const at::Tensor& part) { parts.push_back(part.clone()); });
  return at::cat(parts, 1).narrow(1, 1, next.after);
}

at::Tensor decode_window(const VideoVae& vae, const at::Tensor& latents, const std::vector<Window>& windows,
                         std::size_t index, const std::function<void(const at::Tensor&)>& sink) {
  const auto& window = windows[index];
  const int64_t handed_on = index + 1 < windows.size() ? windows[index + 1].context : 0;
  int64_t decoded = 0;
  std::vector<at::Tensor> last;
  vae.decode(vae.denormalise(latents), [&](const at::Tensor& part) {
    const auto from = [&](int64_t frame) { return std::clamp<int64_t>(frame - decoded, 0, part.size(1)); };
    const auto fresh = part.slice(1, from(std::max(window.context, window.skipped)), from(window.kept));
    if (fresh.size(1) > 0) sink(fresh);
    if (handed_on > 0)
      last.push_back(part.slice(1, from(window.kept - handed_on), from(window.kept)).clone());
    decoded += part.size(1);
  });
  return handed_on == 0 ? at::Tensor() : at::cat(last, 1);
}

}  // namespace t2v
