// A loop: a ring of latents, in which the last one stands before the first. The network knows no rings, so it
// sees windows that run round it and overlap, and what it says of a latent is the mean over those that hold
// it (MultiDiffusion: Bar-Tal et al. 2023). An autoencoder's first latent holds one frame, and is none of the
// ring: each window has one of its own, which is not shown.
#pragma once

#include <cstdint>
#include <vector>

#include "models/denoiser.h"
#include "t2v/request.h"

namespace t2v {

// The latent frames of a loop that each of its windows reads, in order. plan.latent_shape: the first latents
// of all windows, then the ring.
std::vector<std::vector<int64_t>> latent_frames_of_loop(const GenerationPlan& plan);

// Predicts for loops, one a segment, as the denoiser of their windows does. A segment of one latent frame is
// none, and is left as it is.
class RingDenoiser : public Denoiser {
 public:
  // windows: as latent_frames_of_loop has them. What is referred to must outlive this.
  RingDenoiser(const Denoiser& denoiser, std::vector<std::vector<int64_t>> windows)
      : denoiser_(denoiser), windows_(std::move(windows)) {}
  PatchSize patch_size() const override { return denoiser_.patch_size(); }
  int64_t in_channels() const override { return denoiser_.in_channels(); }
  std::shared_ptr<const Conditioning> prepare(const PackedTokens& tokens,
                                              const std::vector<TextStates>& texts) const override;
  at::Tensor predict(const PackedTokens& tokens, const Conditioning& conditioning,
                     at::Tensor* middle = nullptr) const override;

 private:
  const Denoiser& denoiser_;
  std::vector<std::vector<int64_t>> windows_;
};

}  // namespace t2v
