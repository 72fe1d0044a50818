// Two denoisers of one architecture, each for a part of the noise levels.
// Source: Wan 2.2; diffusers pipeline_wan.py, boundary_ratio.
#pragma once

#include <memory>

#include "models/denoiser.h"

namespace t2v {

// Whether the first of two experts makes a step; the second one makes those below the boundary. Compared in
// float32, as the reference does.
inline bool is_first_expert(double timestep, double boundary) {
  return static_cast<float>(timestep) >= static_cast<float>(boundary);
}

class ExpertDenoiser : public Denoiser {
 public:
  ExpertDenoiser(std::unique_ptr<Denoiser> first, std::unique_ptr<Denoiser> second, double boundary);

  PatchSize patch_size() const override { return first_->patch_size(); }
  int64_t in_channels() const override { return first_->in_channels(); }
  std::shared_ptr<const Conditioning> prepare(const PackedTokens& tokens,
                                              const std::vector<TextStates>& texts) const override;
  // Chosen by tokens.timestep.
  at::Tensor predict(const PackedTokens& tokens, const Conditioning& conditioning,
                     at::Tensor* middle = nullptr) const override;

 private:
  std::unique_ptr<Denoiser> first_, second_;
  double boundary_;
};

}  // namespace t2v
