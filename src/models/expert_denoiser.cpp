#include "models/expert_denoiser.h"

#include <utility>

namespace t2v {

namespace {

struct ExpertConditioning : Conditioning {
  std::shared_ptr<const Conditioning> first, second;
};

}  // namespace

ExpertDenoiser::ExpertDenoiser(std::unique_ptr<Denoiser> first, std::unique_ptr<Denoiser> second,
                               double boundary)
    : first_(std::move(first)), second_(std::move(second)), boundary_(boundary) {}

std::shared_ptr<const Conditioning> ExpertDenoiser::prepare(const PackedTokens& tokens,
                                                            const std::vector<TextStates>& texts) const {
  auto conditioning = std::make_shared<ExpertConditioning>();
  conditioning->first = first_->prepare(tokens, texts);
  conditioning->second = second_->prepare(tokens, texts);
  return conditioning;
}

at::Tensor ExpertDenoiser::predict(const PackedTokens& tokens, const Conditioning& conditioning,
                                   at::Tensor* middle) const {
  const auto& prepared = dynamic_cast<const ExpertConditioning&>(conditioning);
  return is_first_expert(tokens.timestep, boundary_) ? first_->predict(tokens, *prepared.first, middle)
                                                     : second_->predict(tokens, *prepared.second, middle);
}

}  // namespace t2v
