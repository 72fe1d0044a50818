#include "pipeline/windows.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace t2v {

std::vector<Window> windows_of(int64_t frames, int64_t window, int64_t overlap) {
  std::vector<Window> windows = {{0, 0, std::min(frames, window)}};
  for (int64_t made = windows[0].frames; made < frames;) {
    const auto added = std::min(window - overlap, frames - made);
    windows.push_back({made - (window - added), window - added, window});
    made += added;
  }
  return windows;
}

at::Tensor decode_window(const VideoVae& vae, const at::Tensor& latents, const std::vector<Window>& windows,
                         std::size_t index, const std::function<void(const at::Tensor&)>& sink) {
  const auto& window = windows[index];
  const int64_t kept = index + 1 < windows.size() ? windows[index + 1].context : 0;
  int64_t decoded = 0;
  std::vector<at::Tensor> last;
  vae.decode(vae.denormalise(latents), [&](const at::Tensor& part) {
    const auto from = [&](int64_t frame) { return std::clamp<int64_t>(frame - decoded, 0, part.size(1)); };
    const auto fresh = part.slice(1, from(window.context));
    if (fresh.size(1) > 0) sink(fresh);
    if (kept > 0) last.push_back(part.slice(1, from(window.frames - kept)).clone());
    decoded += part.size(1);
  });
  return kept == 0 ? at::Tensor() : at::cat(last, 1);
}

}  // namespace t2v
